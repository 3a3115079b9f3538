/* Functions on descriptors that are variadic in C, need macros, or are hidden behind _GNU_SOURCE. */
#define _GNU_SOURCE
#include "csystem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int csystem_openat(int directory, const char *path, int flags, mode_t mode)
{
	int fd;

	do
		fd = openat(directory, path, flags | O_CLOEXEC, mode);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

int csystem_pipe(int ends[2])
{
	return pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0;
}

int csystem_accept(int listener, struct sockaddr_storage *peer, socklen_t *length)
{
	int fd;

	do
		fd = accept4(listener, (struct sockaddr *)peer, length, SOCK_CLOEXEC | SOCK_NONBLOCK);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

int csystem_peer_user(int socket, uid_t *user)
{
	struct ucred peer;
	socklen_t length = sizeof peer;

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return -errno;
	*user = peer.uid;
	return 0;
}

ssize_t csystem_splice(int source, int target, size_t limit)
{
	ssize_t count;

	do
		count = splice(source, NULL, target, NULL, limit, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	while (count < 0 && errno == EINTR);
	return count < 0 ? -errno : count;
}

int csystem_terminal_size(int terminal, unsigned short *rows, unsigned short *columns)
{
	struct winsize size;

	if (ioctl(terminal, TIOCGWINSZ, &size) < 0)
		return -errno;
	*rows = size.ws_row;
	*columns = size.ws_col;
	return 0;
}

int csystem_set_pipe_capacity(int pipe, int bytes)
{
	int capacity = fcntl(pipe, F_SETPIPE_SZ, bytes);

	return capacity < 0 ? -errno : capacity;
}

_Static_assert(csystem_o_path == O_PATH, "fcntl.h");

int csystem_send_descriptor(int socket, int descriptor)
{
	char byte = 0;
	struct iovec part = {.iov_base = &byte, .iov_len = 1};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control.space,
	};
	struct cmsghdr *header;
	ssize_t sent;

	memset(&control, 0, sizeof control);
	header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof descriptor);
	memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
	do
		sent = sendmsg(socket, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}
