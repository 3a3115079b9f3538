/* What the files of loopback.so know of each other. */
#ifndef SPUNNEL_LOOPBACK_H
#define SPUNNEL_LOOPBACK_H

/* Shortens the daemon's logs when they have grown too long; to be called now and then. */
void bound_logs(void);

#endif
