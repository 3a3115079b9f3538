/* The declarations that the files of spunnel-sshd share. */
#ifndef SPUNNEL_NODE_H
#define SPUNNEL_NODE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdint.h>

/** The characters of base64. */
#define BASE64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

/** Characters in the longest base64 text of a key. An ed25519 key has 400. */
#define LONGEST_KEY 8192

/** The environment variable that only spunnelctl proxy sets: the program that sshd runs for each shell and command.
 *  Without it sshd allows forwards only. */
#define ENTER "SPUNNEL_ENTER"

/** Hexadecimal digits in a secret. */
#define SECRET_LENGTH 64

/** The keeper's port and secrets, from the text `<port>:<question>:<answer>`. */
struct callback {
	uint16_t port;
	char question[SECRET_LENGTH];  /**< proves that this program belongs to the tunnel */
	char answer[SECRET_LENGTH];    /**< proves that the peer is the keeper */
};

/** Prints one line to standard error. srun carries it to the keeper's log. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

/** Parses the text of the environment. @return 0, or -1 if it is malformed */
int parse_callback(const char *text, struct callback *callback);

/** Connects to the keeper and checks that it is the keeper. Takes a few seconds at most.
 *  @param signals a descriptor that becomes readable when this program must end
 *  @return the connection, close-on-exec; -1 if it cannot be made, after a line was printed; -2 if
 *  a signal came */
int call_back(const struct callback *callback, int signals);

/** Makes a file in memory.
 *  @param name shown in /proc
 *  @return a descriptor that children inherit, or -1 after a line was printed */
__attribute__((format(printf, 2, 3))) int file_of(const char *name, const char *format, ...);

/** Makes the configuration (sshd_config(5)): only this tunnel's key, and only forwarding unless a shell is allowed.
 *  An sshd that is not root can log in only its own user. All keywords exist in OpenSSH 8.0.
 *  @param is_direct whether sshd has a connection of its own to the keeper
 *  @return a descriptor, or -1 after a line was printed */
int configuration(int host_key, int authorized, int paths, int is_direct);

/** The environment variable that names the file with the sockets' paths, for the commands that
 *  sshd runs. */
#define PATHS "SPUNNEL_PATHS"

/** The only command that the tunnel's key may run. It takes the path out of SSH_ORIGINAL_COMMAND
 *  (sshd(8)). It removes a socket there that belongs to the user and that no process has bound. It
 *  notes the path for remove_sockets.
 *  @return an exit status of RemotePath.swift; 1 for any other command */
int clear_path(void);

/** Removes the noted sockets that sshd has left behind. If the job was killed, the keeper cannot
 *  remove them.
 *  @param paths a file with one path on each line; borrowed */
void remove_sockets(int paths);

#endif
