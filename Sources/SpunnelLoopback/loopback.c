/* Keeps daemons off the network. Preloaded into a daemon (ld.so(8)), bind(2) uses 127.0.0.1
 * instead of all addresses.
 *
 * Slurm can also listen on one address only (NoInAddrAny), but that is the address of the host's
 * own name. On a laptop this may be none, or an address of the current network. If SPUNNEL_PEERS
 * is set, the cluster has other hosts, and the daemons listen on the network. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int bind_v4(int (*next)(int, const struct sockaddr *, socklen_t), int fd,
		   const struct sockaddr *address)
{
	struct sockaddr_in copy;

	memcpy(&copy, address, sizeof copy);
	if (copy.sin_addr.s_addr == htonl(INADDR_ANY))
		copy.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return next(fd, (struct sockaddr *)&copy, sizeof copy);
}

static int bind_v6(int (*next)(int, const struct sockaddr *, socklen_t), int fd,
		   const struct sockaddr *address)
{
	struct sockaddr_in6 copy;

	memcpy(&copy, address, sizeof copy);
	/* The IPv4-mapped form of 127.0.0.1, for a socket of both families: all of Slurm's own
	 * addresses here are 127.0.0.1. */
	if (IN6_IS_ADDR_UNSPECIFIED(&copy.sin6_addr))
		(void)inet_pton(AF_INET6, "::ffff:127.0.0.1", &copy.sin6_addr);
	return next(fd, (struct sockaddr *)&copy, sizeof copy);
}

__attribute__((visibility("default"))) int bind(int fd, const struct sockaddr *address,
						socklen_t length)
{
	int (*next)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");

	if (next == NULL) {
		errno = ENOSYS;
		return -1;
	}
	if (getenv("SPUNNEL_PEERS") != NULL)
		return next(fd, address, length);
	if (address != NULL && address->sa_family == AF_INET && length >= sizeof(struct sockaddr_in))
		return bind_v4(next, fd, address);
	if (address != NULL && address->sa_family == AF_INET6 &&
	    length >= sizeof(struct sockaddr_in6))
		return bind_v6(next, fd, address);
	return next(fd, address, length);
}
