/* spunnel-jobs watch: prints the state of a job now and at each change, while its standard input
 * and output are open.
 *
 * It asks Slurm again and again: Slurm reports a job's changes only to the srun or salloc that
 * waits for it. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../CSlurm/slurm-versions.h"
#include "jobs.h"

/* All times in milliseconds. A job often starts in the first seconds; later a short delay does not
 * matter. */
enum {
	FIRST_PAUSE = 250,
	LONGEST_PAUSE = 4000,
	STEPS = 8,            /* steps from the first pause to the longest */
	SETTLED = INT_MAX,    /* longer than any longest pause */
	SHORTEST_PAUSE = 250, /* even if the reader asks more often */
	SHARE = 1000,         /* for each tunnel, if the user has many */
	MOST_TUNNELS = 600,
};

struct watcher {
	const struct job_name *name;
	const char *tunnels; /* a folder, borrowed; or NULL */
	int longest;         /* pause, but for the user's share */
	char *said;       /* the last line, owned; NULL: print the next line in any case */
	int is_lost;
	int step_seen;
	enum ending ending;
	int pause;
	long long asked;  /* time of the last question, monotonic clock */
};

/* Counts the user's tunnels into jobs. A record's name is its job and the extern step. */
static int count_tunnels(const char *folder)
{
	static const char whole_job[] = ".4294967292";
	const size_t tail = sizeof whole_job - 1;
	DIR *records = folder != NULL ? opendir(folder) : NULL;
	struct dirent *entry;
	int count = 0;

	if (records == NULL)
		return 0;
	while (count < MOST_TUNNELS && (entry = readdir(records)) != NULL) {
		size_t length = strlen(entry->d_name);

		count += length > tail && strcmp(entry->d_name + length - tail, whole_job) == 0;
	}
	(void)closedir(records);
	return count;
}

/* The longest pause. Slurm may allow a user two requests a second for all commands together
 * (slurm.conf(5), rl_refill_rate). All tunnels of the user together make one request a second. */
static int longest_pause(const struct watcher *watcher)
{
	int share = SHARE * count_tunnels(watcher->tunnels);

	return share > watcher->longest ? share : watcher->longest;
}

static long long now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

/* Prints a line unless it is equal to the last one. Returns 0, or -1 if the reader has gone. */
static int say(struct watcher *watcher, const char *word, const char *value)
{
	char *line;
	int length = asprintf(&line, "%s%s%s\n", word, value != NULL ? " " : "",
			      value != NULL ? value : "");

	if (length < 0)
		return -1;
	if (watcher->said != NULL && strcmp(watcher->said, line) == 0) {
		free(line);
		return 0;
	}
	free(watcher->said);
	watcher->said = line;
	for (int written = 0; written < length;) {
		ssize_t more = write(STDOUT_FILENO, line + written, (size_t)(length - written));

		if (more < 0 && errno != EINTR)
			return -1;
		written += more > 0 ? (int)more : 0;
	}
	return 0;
}

/* The phase of a step. If the step was never seen, it may be about to start. If it was seen, it is
 * over. */
static enum phase step_phase(struct watcher *watcher, enum answer answer, const struct facts *facts)
{
	if (watcher->name->step == NO_VAL || facts->phase != PHASE_RUNNING)
		return facts->phase;
	if (answer == ANSWER_FOUND)
		watcher->step_seen = 1;
	else
		return watcher->step_seen ? PHASE_OVER : PHASE_PENDING;
	return PHASE_RUNNING;
}

/* Asks Slurm and prints the news. Returns 1 if the watch is over or the reader has gone. */
static int look(struct watcher *watcher)
{
	struct facts facts;
	enum answer answer;
	int ends = 0;

	voice_forget();
	answer = facts_ask(watcher->name, &facts);
	watcher->asked = now();
	if (answer == ANSWER_FAILED) {
		if (!watcher->is_lost)
			ends = say(watcher, "lost", slurm_strerror(errno)) < 0;
		watcher->is_lost = 1;
		watcher->pause = SETTLED;
		return ends;
	}
	watcher->is_lost = 0;
	/* Slurm forgets a job some minutes after its end. */
	if (answer == ANSWER_NO_JOB) {
		(void)say(watcher, "over", "FORGOTTEN");
		return 1;
	}
	if (facts.is_array) {
		complain("watch job '%s': it is an array: name a task of it, as in %u_1",
			 watcher->name->text, watcher->name->job);
		watcher->ending = ENDING_FAILED;
		return 1;
	}
	switch (step_phase(watcher, answer, &facts)) {
	case PHASE_PENDING:
		/* The job ran before and was requeued: it may start again at once. */
		if (watcher->said == NULL || strcmp(watcher->said, "pending\n") != 0)
			watcher->pause = FIRST_PAUSE;
		ends = say(watcher, "pending", NULL) < 0;
		break;
	case PHASE_RUNNING:
		watcher->pause = SETTLED;
		ends = say(watcher, "running", facts.nodes) < 0;
		break;
	case PHASE_OVER:
		(void)say(watcher, "over",
			  facts.phase == PHASE_OVER ? facts.detail : "STEP_ENDED");
		ends = 1;
		break;
	}
	facts_free(&facts);
	return ends;
}

/* Waits until it is time to ask again. Returns -1 if the reader has gone. */
static int rest(struct watcher *watcher)
{
	struct pollfd ends[] = {
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = STDOUT_FILENO}, /* an error if the reader has gone */
	};
	int longest = longest_pause(watcher);
	int pause = watcher->pause < longest ? watcher->pause : longest;
	long long until = watcher->asked + pause, left;
	char bytes[256];

	watcher->pause = pause + longest / STEPS;
	while ((left = until - now()) > 0) {
		if (poll(ends, 2, (int)left) < 0) {
			/* `ends` still has the events of the last call, and a read because of them
			 * would block. */
			if (errno == EINTR)
				continue;
			return -1;
		}
		if (ends[1].revents != 0)
			return -1;
		if (ends[0].revents == 0)
			continue;
		ssize_t count = read(STDIN_FILENO, bytes, sizeof bytes);

		if (count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN))
			return -1;
		if (count > 0)
			until = watcher->asked + SHORTEST_PAUSE;
	}
	return 0;
}

enum ending watch(const struct job_name *name, const char *tunnels, int seconds)
{
	/* The watch is for one job, whose number came from Slurm itself. */
	struct job_name exact = *name;
	struct watcher watcher = {.name = &exact, .tunnels = tunnels, .pause = FIRST_PAUSE};

	watcher.longest = seconds > 0 ? seconds * 1000 : LONGEST_PAUSE;
	exact.is_exact = 1;
	while (look(&watcher) == 0 && rest(&watcher) == 0)
		;
	free(watcher.said);
	return watcher.ending;
}
