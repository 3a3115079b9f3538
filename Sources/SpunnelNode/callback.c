/* Connects spunnel-sshd back to the keeper that started it, so that the tunnel's bytes do not go
 * through srun.
 *
 * The keeper listens on one port for a moment. Slurm tells the step the address of its srun. Both
 * sides prove themselves with one-time secrets before sshd and ssh use the connection. So a
 * stranger that connects to the port, or that listens on it, cannot harm the tunnel. ssh and sshd
 * then authenticate each other by key. */
#include "node.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Milliseconds: for all attempts; for one attempt (the kernel repeats a lost SYN after one
 * second); and between two attempts. */
#define PATIENCE 4500
#define ATTEMPT 2000
#define PAUSE 100

/* The variables with srun's address, as slurmstepd sets them: the step's own output goes there. */
static const char *const addresses[] = {"SLURM_LAUNCH_NODE_IPADDR", "SLURM_SRUN_COMM_HOST"};
#define ADDRESSES (sizeof addresses / sizeof *addresses)

enum outcome { CONNECTED, AGAIN, REFUSED, TOLD_TO_END };

struct attempt {
	const struct callback *callback;
	int signals;
	int64_t deadline;
	int fd;
	const char *failure;
};

static int64_t now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static int is_secret(const char *text, char end)
{
	return strspn(text, "0123456789abcdef") == SECRET_LENGTH && text[SECRET_LENGTH] == end;
}

int parse_callback(const char *text, struct callback *callback)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	if (text[0] < '1' || text[0] > '9' || port > 65535 || *end != ':' || !is_secret(end + 1, ':') ||
	    !is_secret(end + 2 + SECRET_LENGTH, '\0'))
		return -1;
	callback->port = (uint16_t)port;
	memcpy(callback->question, end + 1, SECRET_LENGTH);
	memcpy(callback->answer, end + 2 + SECRET_LENGTH, SECRET_LENGTH);
	return 0;
}

/* Compares in constant time: the time does not depend on how many bytes are equal. */
static int same_secret(const char *one, const char *other)
{
	unsigned char differences = 0;

	for (int i = 0; i < SECRET_LENGTH; i++)
		differences |= (unsigned char)(one[i] ^ other[i]);
	return differences == 0;
}

/* Waits for the connection, for the attempt's deadline or for a signal.
 * @return 1; 0 if the deadline has passed; -1 if this program must end */
static int await(const struct attempt *attempt, short events)
{
	struct pollfd watched[] = {
		{.fd = attempt->fd, .events = events},
		{.fd = attempt->signals, .events = POLLIN},
	};

	for (;;) {
		int64_t left = attempt->deadline - now();
		int count = poll(watched, 2, left > 0 ? (int)left : 0);

		if (count < 0 && errno == EINTR)
			continue;
		if (watched[1].revents != 0)
			return -1;
		return count > 0;
	}
}

/* Sends the question and reads the answer. */
static enum outcome prove(struct attempt *attempt)
{
	char heard[SECRET_LENGTH];
	size_t count = 0;

	/* A new socket always has room for so few bytes. */
	if (send(attempt->fd, attempt->callback->question, SECRET_LENGTH, MSG_NOSIGNAL) !=
	    SECRET_LENGTH) {
		attempt->failure = strerror(errno);
		return AGAIN;
	}
	while (count < SECRET_LENGTH) {
		int ready = await(attempt, POLLIN);
		ssize_t got;

		if (ready < 0)
			return TOLD_TO_END;
		if (ready == 0) {
			attempt->failure = "the keeper does not answer";
			return AGAIN;
		}
		got = recv(attempt->fd, heard + count, SECRET_LENGTH - count, 0);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got <= 0) {
			attempt->failure = got < 0 ? strerror(errno) : "the keeper closed the connection";
			return AGAIN;
		}
		count += (size_t)got;
	}
	if (!same_secret(heard, attempt->callback->answer)) {
		attempt->failure = "what answers there is not the keeper";
		return REFUSED;
	}
	return CONNECTED;
}

/* Parses an IPv4 or IPv6 address and adds the port. @return its length, or 0 if it is not an
 * address */
static socklen_t resolve(const char *text, uint16_t port, struct sockaddr_storage *address)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;

	memset(address, 0, sizeof *address);
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof *v4;
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		return sizeof *v6;
	}
	return 0;
}

static enum outcome try_address(struct attempt *attempt, const char *text)
{
	struct sockaddr_storage address;
	socklen_t length = resolve(text, attempt->callback->port, &address);
	socklen_t size = sizeof(int);
	int failure = 0, ready, on = 1;

	if (length == 0) {
		attempt->failure = "Slurm tells no address";
		return REFUSED;
	}
	attempt->fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (attempt->fd < 0) {
		attempt->failure = strerror(errno);
		return REFUSED;
	}
	/* Small answers must not wait (Nagle's algorithm), and a vanished host must be detected. */
	(void)setsockopt(attempt->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	(void)setsockopt(attempt->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	if (connect(attempt->fd, (struct sockaddr *)&address, length) == 0)
		return prove(attempt);
	if (errno != EINPROGRESS) {
		attempt->failure = strerror(errno);
		return REFUSED;
	}
	ready = await(attempt, POLLOUT);
	if (ready < 0)
		return TOLD_TO_END;
	if (ready == 0) {
		attempt->failure = strerror(ETIMEDOUT);
		return AGAIN;
	}
	(void)getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &failure, &size);
	if (failure == 0)
		return prove(attempt);
	attempt->failure = strerror(failure);
	return failure == ECONNRESET ? AGAIN : REFUSED;
}

/* The addresses from Slurm, without duplicates. @return the number of addresses */
static size_t candidates(const char *found[ADDRESSES])
{
	size_t count = 0;

	for (size_t i = 0; i < ADDRESSES; i++) {
		const char *text = getenv(addresses[i]);

		if (text != NULL && *text != '\0' && (count == 0 || strcmp(found[0], text) != 0))
			found[count++] = text;
	}
	return count;
}

int call_back(const struct callback *callback, int signals)
{
	const int64_t end = now() + PATIENCE;
	const char *found[ADDRESSES];
	size_t count = candidates(found);
	struct attempt attempt = {
		.callback = callback, .signals = signals, .fd = -1,
		.failure = "Slurm tells no address",
	};
	int goes_on = count > 0;

	while (goes_on) {
		goes_on = 0;
		for (size_t i = 0; i < count; i++) {
			enum outcome outcome;

			attempt.deadline = now() + ATTEMPT < end ? now() + ATTEMPT : end;
			outcome = try_address(&attempt, found[i]);
			if (outcome == CONNECTED)
				return attempt.fd;
			if (attempt.fd >= 0)
				(void)close(attempt.fd);
			attempt.fd = -1;
			if (outcome == TOLD_TO_END)
				return -2;
			goes_on |= outcome == AGAIN;
		}
		/* attempt.fd is -1: this only waits for the pause or a signal. */
		attempt.deadline = now() + PAUSE;
		if (goes_on && await(&attempt, 0) < 0)
			return -2;
		goes_on &= now() < end;
	}
	say("cannot connect back to %s, port %d: %s: the tunnel goes through srun and is slow; "
	    "ask your administrator to let the nodes connect to this host (SrunPortRange)",
	    count > 0 ? found[0] : "srun", callback->port, attempt.failure);
	return -1;
}
