/* Which source this program was built from. */
#ifndef SPUNNEL_BUILD_H
#define SPUNNEL_BUILD_H

/** The commit and its date, as in `commit 0123abc, 2026-11-30`; empty after a plain `swift build`. */
const char *spunnel_build(void);

#endif
