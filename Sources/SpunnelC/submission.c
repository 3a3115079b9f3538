/* The plugin in sbatch.
 *
 * The ports are claimed when the option is read, before anything is queued. When sbatch prints its
 * job's number (answer.c), a keeper gets them. If sbatch prints none, there is no tunnel: another
 * job of the user is never mistaken for this one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "shim.h"
#include "../CSlurm/slurm-versions.h"
#include "../CSlurm/state.h"

static struct {
	int is_claimed;
	int is_settled;   /* the command line has been read too */
	int exit_status;  /* of sbatch; -1: it still runs */
	char *spec;       /* for messages, as a shell takes it */
	char *held;       /* a line of the script that the command line seems to replace */
	struct spunnel_host host;
} self = {.exit_status = -1};

static void take(uint32_t number);

static int say(const struct spunnel_host *host, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Prints an error. Returns -1, so that the caller can return it. */
static int say(const struct spunnel_host *host, const char *format, ...)
{
	char line[1024];
	va_list values;

	va_start(values, format);
	(void)vsnprintf(line, sizeof line, format, values);
	va_end(values);
	host->say(SPUNNEL_ERROR, line);
	return -1;
}

/* The spec as one word for a shell, owned, or NULL: in quotes, unless it needs none. */
static char *shell_word(const char *text)
{
	const size_t plain = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+,");
	/* Each quote takes four bytes. */
	char *word = text[plain] == '\0' ? strdup(text) : malloc(4 * strlen(text) + 3), *end = word;

	if (word == NULL || text[plain] == '\0')
		return word;
	*end++ = '\'';
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			end = stpcpy(end, "'\\''");
		else
			*end++ = *text;
	}
	(void)strcpy(end, "'");
	return word;
}

static void note_exit(int status, void *unused)
{
	(void)unused;
	self.exit_status = status;
}

/* Prepares to read the job's number. A request that is certain to fail is refused before anything
 * is queued. */
static int prepare(const struct spunnel_host *host)
{
	if (program_is_quiet())
		return say(host, "spunnel: --tunnel: with --quiet sbatch does not tell its job's number, which "
			   "the tunnel needs: leave --quiet out, or write >/dev/null in its place");
	self.host = *host;
	if (self.exit_status == -1 && on_exit(note_exit, NULL) != 0)
		return say(host, "spunnel: --tunnel: note sbatch's end: no memory left");
	if (answer_await(take) != 0)
		return say(host, "spunnel: --tunnel: read sbatch's answer: %s", strerror(errno));
	return 0;
}

/* The last spec on sbatch's command line, owned, or NULL. Slurm reads the script's lines first. A
 * port in the script may be in use, and that may be why another is typed. A --tunnel after the
 * script's name is an argument of the script. It is found too, so submission_settle claims a spec
 * that was not replaced after all. */
static char *typed_spec(void)
{
	static const char option[] = "--tunnel";
	const size_t length = sizeof option - 1;
	FILE *line = fopen("/proc/self/cmdline", "re");
	char *word = NULL, *spec = NULL;
	size_t size = 0;
	int is_next = 0;

	while (line != NULL && getdelim(&word, &size, '\0', line) > 0) {
		const char *value = is_next ? word : NULL;

		is_next = strcmp(word, option) == 0;
		if (strncmp(word, option, length) == 0 && word[length] == '=')
			value = word + length + 1;
		if (value != NULL) {
			free(spec);
			spec = strdup(value);
		}
	}
	free(word);
	if (line != NULL)
		(void)fclose(line);
	return spec;
}

/* Notes a spec of the script that a typed spec seems to replace. Returns whether it does. */
static int is_replaced(const char *spec)
{
	char *typed = self.is_settled ? NULL : typed_spec();
	int result = typed != NULL && strcmp(typed, spec) != 0;

	free(typed);
	free(self.held);
	self.held = result ? strdup(spec) : NULL;
	return self.held != NULL;
}

static int claim(const char *spec, const struct spunnel_host *host)
{
	const struct core *core = core_load(host);

	if (core == NULL)
		return -1;
	if (self.is_claimed && !self.is_settled) {
		core->close(host);
		self.is_claimed = 0;
	}
	if (core->claim(spec, SPUNNEL_SUBMITTED, host) != 0)
		return -1;
	if (self.is_claimed)
		return 0;
	free(self.spec);
	self.spec = shell_word(spec);
	if (self.spec == NULL || prepare(host) != 0) {
		core->close(host);
		return -1;
	}
	self.is_claimed = 1;
	return 0;
}

int submission_claim(const char *spec, const struct spunnel_host *host)
{
	const struct core *core;

	if (!is_replaced(spec))
		return claim(spec, host);
	core = core_load(host);
	return core != NULL ? core->check(spec, host) : -1;
}

/* Warns if --export keeps SPUNNEL_PORT from the job. SLURM_EXPORT_ENV has the value of --export
 * once sbatch has read all options. */
static void say_export(const struct spunnel_host *host)
{
	const char *list = getenv("SLURM_EXPORT_ENV");

	if (!self.is_claimed || getenv("SPUNNEL_PORT") == NULL || list == NULL ||
	    strncasecmp(list, "ALL", strlen("ALL")) == 0 || strstr(list, "SPUNNEL_PORT") != NULL)
		return;
	host->say(SPUNNEL_INFO, "spunnel: --export keeps SPUNNEL_PORT from the job: add it, as in "
		  "--export=SPUNNEL_PORT");
}

int submission_settle(const struct spunnel_host *host)
{
	int result = self.held != NULL ? claim(self.held, host) : 0;

	say_export(host);
	free(self.held);
	self.held = NULL;
	self.is_settled = 1;
	return result;
}

/* Whether sbatch used --clusters. Then Slurm's library asks another cluster from that point on,
 * and the job's number means another job here. The variable is looked up by name, because not
 * every host of the plugin has it. */
static int went_elsewhere(void)
{
	void *const *cluster = dlsym(RTLD_DEFAULT, "working_cluster_rec");

	return cluster != NULL && *cluster != NULL;
}

static int say_array(const slurm_job_info_t *job)
{
	unsigned long task = job->array_task_id;

	/* Waiting tasks share one record with a list of them. */
	if (task == NO_VAL)
		task = job->array_task_str != NULL ? strtoul(job->array_task_str, NULL, 10) : 1;
	return say(&self.host, "spunnel: no tunnel: job arrays have none: open one for a task, as in "
		   "spunnelctl open %u_%lu %s", job->array_job_id, task, self.spec);
}

/* Passes the job to the core. Returns 0, or -1 after an error was printed. */
static int follow(uint32_t number, const slurm_job_info_t *job)
{
	char state[256];

	if (job->user_id != getuid())
		return say(&self.host, "spunnel: no tunnel: job %u is user %u's, who alone can have one: "
			   "spunnelctl open %u %s", number, job->user_id, number, self.spec);
	if (job->array_job_id != 0)
		return say_array(job);
	if (job_phase(job->job_state) == PHASE_OVER) {
		job_describe(job, state, sizeof state);
		return say(&self.host, "spunnel: no tunnel: job %u is over already (%s)", number, state);
	}
	return core_loaded()->follow(number, &self.host);
}

static int lead_to(uint32_t number)
{
	job_info_msg_t *message;
	int result;

	if (went_elsewhere())
		return say(&self.host, "spunnel: no tunnel: the job is another cluster's: submit it on a "
			   "host of that cluster, without --clusters");
	if (load_job(&message, number) != 0)
		return say(&self.host, "spunnel: no tunnel: ask Slurm for job %u: %s: open one with "
			   "spunnelctl open %u %s", number, slurm_strerror(errno), number, self.spec);
	result = message->record_count > 0 ? follow(number, message->job_array)
		: say(&self.host, "spunnel: no tunnel: Slurm knows no job %u any more", number);
	slurm_free_job_info_msg(message);
	return result;
}

/* Takes the job's number that sbatch has printed. */
static void take(uint32_t number)
{
	if (!self.is_claimed)
		return;
	self.is_claimed = 0;
	/* If the ports were passed on, the keeper has them. */
	if (lead_to(number) != 0)
		core_loaded()->close(&self.host);
}

void submission_end(const struct spunnel_host *host)
{
	answer_finish();
	if (!self.is_claimed)
		return;
	self.is_claimed = 0;
	/* With another status, sbatch has said why it submitted nothing. With --test-only there is
	 * no job. */
	if (self.exit_status == 0)
		host->say(SPUNNEL_INFO, "spunnel: no tunnel: sbatch has told no job's number");
	core_loaded()->close(host);
}
