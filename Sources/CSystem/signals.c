/* Waiting for input and for children in a process whose signals belong to the host program. */
#define _GNU_SOURCE
#include "csystem.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const int interrupts[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};
#define COUNT (sizeof interrupts / sizeof *interrupts)

static volatile sig_atomic_t seen[NSIG];
static volatile sig_atomic_t any_seen;

static void see(int number)
{
	seen[number] = any_seen = 1;
}

/* The monotonic clock in milliseconds. */
static int64_t now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * INT64_C(1000) + time.tv_nsec / 1000000;
}

int csystem_poll_interruptibly(int descriptor, int milliseconds)
{
	struct pollfd entry = {.fd = descriptor, .events = POLLIN};
	int64_t end = now() + milliseconds, left;
	struct timespec patience;
	struct sigaction ours = {.sa_handler = see}, before[COUNT];
	sigset_t blocked, during;
	int ready, failure;

	(void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	during = blocked;
	any_seen = 0;
	for (size_t i = 0; i < COUNT; i++) {
		if (!sigismember(&blocked, interrupts[i]))
			continue;
		seen[interrupts[i]] = 0;
		(void)sigaction(interrupts[i], &ours, &before[i]);
		(void)sigdelset(&during, interrupts[i]);
	}
	/* The kernel delivers a process signal to the main thread rather than to a thread in
	 * sigwait(3). */
	do {
		left = end > now() ? end - now() : 0;
		patience = (struct timespec){left / 1000, left % 1000 * 1000000};
		ready = ppoll(&entry, 1, &patience, &during);
	} while (ready < 0 && errno == EINTR && !any_seen);
	failure = errno;
	for (size_t i = 0; i < COUNT; i++) {
		if (!sigismember(&blocked, interrupts[i]))
			continue;
		(void)sigaction(interrupts[i], &before[i], NULL);
		if (seen[interrupts[i]])
			(void)kill(getpid(), interrupts[i]);
	}
	return ready < 0 ? -failure : ready;
}

int csystem_keep_children(struct sigaction *before)
{
	struct sigaction keeping;

	(void)sigaction(SIGCHLD, NULL, before);
	if (before->sa_handler != SIG_IGN && (before->sa_flags & SA_NOCLDWAIT) == 0)
		return 0;
	keeping = *before;
	keeping.sa_flags &= ~SA_NOCLDWAIT;
	if (before->sa_handler == SIG_IGN)
		keeping.sa_handler = SIG_DFL;
	(void)sigaction(SIGCHLD, &keeping, NULL);
	return 1;
}

void csystem_leave_children(const struct sigaction *before)
{
	(void)sigaction(SIGCHLD, before, NULL);
	/* Children of the host process that ended in the meantime became zombies too, and the host
	 * will not wait for them. */
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}
