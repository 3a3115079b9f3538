/* The declarations that the files of loopback.so share. */
#ifndef SPUNNEL_LOOPBACK_H
#define SPUNNEL_LOOPBACK_H

/* Shortens the daemon's log files if they are too long. To be called now and then; it checks at
 * most once a second. */
void bound_logs(void);

#endif
