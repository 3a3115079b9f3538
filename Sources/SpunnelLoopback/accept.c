/* Protects a user's own daemons from other users. Preloaded into a daemon (ld.so(8)), accept(2)
 * returns only connections of the daemon's own user. Every user of the host can connect to a port
 * of 127.0.0.1. Slurm would use a thread and a log line for each such connection. In a cluster
 * of several hosts SPUNNEL_PEERS lists the addresses of the other hosts. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loopback.h"

/* The kernel's LOOPBACK_IFINDEX. The query also finds sockets that are bound to no interface. */
enum { LOOPBACK_INTERFACE = 1, NOBODY = -1 };

/* Connections that one call of accept drops before it returns to the daemon. */
enum { MOST_IN_A_ROW = 64 };

/* One end of a connection, in the form of sock_diag(7). */
struct end {
	int family;
	size_t size;
	unsigned char bytes[16];
	in_port_t port;
};

static int end_of(const struct sockaddr_storage *address, struct end *end)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
	int is_mapped;

	memset(end, 0, sizeof *end);
	if (address->ss_family == AF_INET) {
		*end = (struct end){.family = AF_INET, .size = 4, .port = v4->sin_port};
		memcpy(end->bytes, &v4->sin_addr, 4);
		return 1;
	}
	if (address->ss_family != AF_INET6)
		return 0;
	/* A socket for both families: the other end uses IPv4. */
	is_mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
	*end = (struct end){.family = is_mapped ? AF_INET : AF_INET6, .size = is_mapped ? 4 : 16,
			    .port = v6->sin6_port};
	memcpy(end->bytes, (const unsigned char *)&v6->sin6_addr + (is_mapped ? 12 : 0), end->size);
	return 1;
}

/* Asks the kernel for the owner of the socket at the far end of a connection. Returns the uid or
 * NOBODY. */
static long long owner_of(const struct end *peer, const struct end *local)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 query;
	} request = {
		.header = {.nlmsg_len = sizeof request, .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			   .nlmsg_flags = NLM_F_REQUEST},
		.query = {.sdiag_family = (unsigned char)peer->family, .sdiag_protocol = IPPROTO_TCP,
			  .idiag_states = ~0U},
	};
	struct {
		struct nlmsghdr header;
		struct inet_diag_msg message;
	} reply;
	struct inet_diag_sockid *id = &request.query.id;
	ssize_t count = -1;
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (netlink < 0)
		return NOBODY;
	id->idiag_sport = peer->port;
	id->idiag_dport = local->port;
	id->idiag_if = LOOPBACK_INTERFACE;
	memset(id->idiag_cookie, 0xff, sizeof id->idiag_cookie);
	memcpy(id->idiag_src, peer->bytes, peer->size);
	memcpy(id->idiag_dst, local->bytes, local->size);
	/* The kernel answers within the send call. */
	if (send(netlink, &request, sizeof request, 0) == (ssize_t)sizeof request)
		count = recv(netlink, &reply, sizeof reply, MSG_DONTWAIT);
	close(netlink);
	if (count < (ssize_t)sizeof reply || reply.header.nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return NOBODY;
	/* If the connection is gone, the kernel may report a listener on its port instead. */
	if (reply.message.id.idiag_sport != peer->port || reply.message.id.idiag_dport != local->port)
		return NOBODY;
	/* The socket was closed by its process. Older kernels then report uid 0. */
	if (reply.message.idiag_inode == 0 && reply.message.idiag_uid == 0)
		return NOBODY;
	return reply.message.idiag_uid;
}

/* Whether both directions of a connection are closed. If so, another socket may now
 * have the far end's port. */
static int is_over(int fd)
{
	struct pollfd entry = {.fd = fd};

	return poll(&entry, 1, 0) > 0 && entry.revents & POLLHUP;
}

static int is_own(int fd)
{
	struct sockaddr_storage here, there;
	socklen_t length = sizeof here;
	struct end local, peer;

	if (getsockname(fd, (struct sockaddr *)&here, &length) < 0)
		return 0;
	if (here.ss_family == AF_UNIX)
		return 1;
	length = sizeof there;
	if (getpeername(fd, (struct sockaddr *)&there, &length) < 0)
		return 0;
	if (!end_of(&here, &local) || !end_of(&there, &peer))
		return 0;
	return owner_of(&peer, &local) == (long long)geteuid() && !is_over(fd);
}

/* Whether the far end is one of the cluster's hosts. munge then authenticates the user there. */
static int is_peer(int fd)
{
	const char *list = getenv("SPUNNEL_PEERS"), *comma;
	struct sockaddr_storage there;
	socklen_t length = sizeof there;
	char text[INET6_ADDRSTRLEN];
	struct end peer;

	if (list == NULL || getpeername(fd, (struct sockaddr *)&there, &length) < 0 || !end_of(&there, &peer) ||
	    inet_ntop(peer.family, peer.bytes, text, sizeof text) == NULL)
		return 0;
	for (; *list != '\0'; list = *comma != '\0' ? comma + 1 : comma) {
		comma = strchrnul(list, ',');
		if ((size_t)(comma - list) == strlen(text) && strncmp(list, text, strlen(text)) == 0)
			return 1;
	}
	return 0;
}

static void drop(int fd)
{
	struct linger reset = {.l_onoff = 1, .l_linger = 0};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(fd);
}

/* Fails as if the connection had gone before accept(2): the daemon logs nothing. */
static int none(int listener)
{
	errno = fcntl(listener, F_GETFL) & O_NONBLOCK ? EAGAIN : EINTR;
	return -1;
}

static int accept_own(int listener, struct sockaddr *address, socklen_t *length, int flags)
{
	int (*next)(int, struct sockaddr *, socklen_t *, int) = dlsym(RTLD_NEXT, "accept4");
	socklen_t room = length ? *length : 0;
	int turn, fd;

	if (next == NULL) {
		errno = ENOSYS;
		return -1;
	}
	bound_logs();
	for (turn = 0; turn < MOST_IN_A_ROW; turn++) {
		struct pollfd entry = {.fd = listener, .events = POLLIN};

		/* The first accept(2) may block, as the daemon expects. After a dropped connection a
		 * blocking listener must not wait again. */
		if (turn > 0 && poll(&entry, 1, 0) <= 0)
			break;
		if (length)
			*length = room;
		fd = next(listener, address, length, flags);
		if (fd < 0 || is_own(fd) || is_peer(fd))
			return fd;
		drop(fd);
	}
	return none(listener);
}

__attribute__((visibility("default"))) int accept(int listener, struct sockaddr *address, socklen_t *length)
{
	return accept_own(listener, address, length, 0);
}

__attribute__((visibility("default"))) int accept4(int listener, struct sockaddr *address,
						   socklen_t *length, int flags)
{
	return accept_own(listener, address, length, flags);
}
