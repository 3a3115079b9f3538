/* Descriptors that fork(2) does not pass on: the kernel has only close-on-exec. This library
 * starts programs with vfork(2), which runs no atfork handlers and passes the descriptors on. */
#include "csystem.h"

#include <pthread.h>
#include <unistd.h>

enum { WORD = 64, HIGHEST = 1 << 16 };

/* One bit for each descriptor. It does not change while another thread forks. */
static uint64_t withheld[HIGHEST / WORD];
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;

static void lock(void)
{
	(void)pthread_mutex_lock(&guard);
}

static void unlock(void)
{
	(void)pthread_mutex_unlock(&guard);
}

/* Runs in the child of a fork. Only async-signal-safe functions are allowed: the other threads are
 * gone, and their locks stay locked. */
static void close_withheld(void)
{
	for (int i = 0; i < HIGHEST / WORD; i++)
		for (; withheld[i] != 0; withheld[i] &= withheld[i] - 1)
			(void)close(i * WORD + __builtin_ctzll(withheld[i]));
	unlock();
}

static void watch_forks(void)
{
	(void)pthread_atfork(lock, unlock, close_withheld);
}

void csystem_withhold_from_forks(int descriptor, int is_withheld)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	uint64_t bit;

	if (descriptor < 0 || descriptor >= HIGHEST)
		return;
	bit = 1ULL << descriptor % WORD;
	(void)pthread_once(&once, watch_forks);
	lock();
	if (is_withheld)
		withheld[descriptor / WORD] |= bit;
	else
		withheld[descriptor / WORD] &= ~bit;
	unlock();
}
