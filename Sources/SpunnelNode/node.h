/* What the files of spunnel-sshd share. */
#ifndef SPUNNEL_NODE_H
#define SPUNNEL_NODE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdint.h>

/** Hexadecimal digits of a secret. */
#define SECRET_LENGTH 64

/** What the keeper says of its port, as `<port>:<question>:<answer>`. */
struct callback {
	uint16_t port;
	char question[SECRET_LENGTH];  /**< this program proves with it that it is the tunnel's */
	char answer[SECRET_LENGTH];    /**< the keeper proves with it that it is the keeper */
};

/** Says one line, as every part of Spunnel does. srun carries it to the keeper's log. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

/** Reads the text that the environment has. @return 0, or -1 when it is malformed */
int parse_callback(const char *text, struct callback *callback);

/** Connects to the keeper, and makes sure that it is the keeper: some seconds at the most.
 *  @param signals a descriptor that becomes readable when this program is to end
 *  @return the connection, close-on-exec; -1 when it cannot be made, after a line was said;
 *          -2 when a signal came */
int call_back(const struct callback *callback, int signals);

/** Names, for the commands of sshd, the file in which the paths of sockets are noted. */
#define PATHS "SPUNNEL_PATHS"

/** The one command that the tunnel's key may run: takes the path out of SSH_ORIGINAL_COMMAND (sshd(8)), and
 *  removes a socket of the user's there that no process has bound; notes the path for remove_sockets.
 *  @return the exit status that RemotePath.swift knows; 1 for any other command */
int clear_path(void);

/** Removes the noted sockets that sshd has left: the keeper cannot when the job was killed.
 *  @param paths a file with a path on each line, borrowed */
void remove_sockets(int paths);

#endif
