/* Bounds the log files of a user's own daemons: neither Slurm nor sshd rotates its log, and no
 * administrator does it here. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "loopback.h"

/* The most bytes of a log, and the bytes of its end that are kept. */
enum { MOST = 8 << 20, KEPT = 1 << 20 };

/* Keeps the end of the log under another name and empties the log. The daemon opened it with
 * O_APPEND, so this is safe; lines written in the meantime are lost. */
static void shorten(const char *path, off_t size)
{
	char old[PATH_MAX];
	off_t start = size - KEPT;
	int from, to;

	if (snprintf(old, sizeof old, "%s.old", path) >= (int)sizeof old)
		return;
	from = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	to = open(old, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (from >= 0 && to >= 0)
		while (sendfile(to, from, &start, KEPT) > 0)
			;
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	if (truncate(path, 0) < 0)
		return;
}

void bound_logs(void)
{
	static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
	static time_t last;
	const char *paths = getenv("SPUNNEL_LOGS"), *end;
	struct timespec now;
	char path[PATH_MAX];
	struct stat found;
	int error = errno;

	if (paths == NULL || pthread_mutex_trylock(&turn) != 0)
		return;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	for (; now.tv_sec != last && *paths; paths = *end ? end + 1 : end) {
		end = strchrnul(paths, ':');
		if (end - paths >= (int)sizeof path)
			continue;
		memcpy(path, paths, (size_t)(end - paths));
		path[end - paths] = 0;
		if (stat(path, &found) == 0 && S_ISREG(found.st_mode) && found.st_size > MOST)
			shorten(path, found.st_size);
	}
	last = now.tv_sec;
	pthread_mutex_unlock(&turn);
	errno = error;
}
