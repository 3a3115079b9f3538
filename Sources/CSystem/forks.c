/* Descriptors that no fork inherits: the kernel knows close-on-exec alone. vfork(2), by which this library
 * starts programs, runs no such handler, and hands them on. */
#include "csystem.h"

#include <pthread.h>
#include <unistd.h>

enum { WORD = 64, HIGHEST = 1 << 16 };

/* A bit for each descriptor; changed by nobody while somebody forks. */
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

/* Only what is async-signal-safe: other threads are gone, and what they had locked stays so. */
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
