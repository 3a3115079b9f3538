/* What the plugin does in sbatch, which tells it neither the job's number nor that there is a job.
 *
 * The ports are claimed when the option is read, before anything is queued. At sbatch's end the job
 * is looked for among the user's: the one that was not there before and that was submitted from
 * this session. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"
#include "../CSlurm/slurm-versions.h"
#include "../CSlurm/state.h"

static struct {
	int is_claimed;
	int is_settled;  /* the command line has been read as well */
	char *spec;      /* for messages */
	char *held;      /* a line of the script that the command line seems to replace */
	time_t time;     /* on slurmctld's clock, when these were all of the user's jobs: */
	uint32_t *jobs;
	uint32_t job_count;
} self;

/* What was submitted meanwhile from here. A job array counts once, and a heterogeneous job. */
struct candidates {
	uint32_t count;
	uint32_t numbers[8];  /* more are not counted: two are too many already */
	const slurm_job_info_t *first;
};

static int say(const struct spunnel_host *host, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Returns -1, for a caller that ends with it. */
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

static int load_jobs(job_info_msg_t **message)
{
	return slurm_load_job_user(message, getuid(), SHOW_ALL | SHOW_LOCAL);
}

static int remember_jobs(const struct spunnel_host *host)
{
	job_info_msg_t *message;

	if (load_jobs(&message) != 0)
		return say(host, "spunnel: --tunnel: ask Slurm for your jobs: %s: try again later",
			   slurm_strerror(errno));
	free(self.jobs);
	self.job_count = message->record_count;
	self.jobs = calloc(self.job_count + 1, sizeof *self.jobs);
	self.time = message->last_update;
	for (uint32_t index = 0; self.jobs != NULL && index < self.job_count; index++)
		self.jobs[index] = message->job_array[index].job_id;
	slurm_free_job_info_msg(message);
	return self.jobs != NULL ? 0 : say(host, "spunnel: --tunnel: note your jobs: no memory left");
}

/* The last spec on sbatch's command line, owned, or NULL. Slurm reads the script's lines first, and
 * a port that the script names may be taken when another one is typed for that very reason. What
 * stands behind the script's name is found as well, and is none. */
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

/* Notes a spec that another one follows. Returns whether it does. */
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
	self.spec = strdup(spec);
	if (self.spec == NULL || remember_jobs(host) != 0) {
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

int submission_settle(const struct spunnel_host *host)
{
	int result = self.held != NULL ? claim(self.held, host) : 0;

	free(self.held);
	self.held = NULL;
	self.is_settled = 1;
	return result;
}

static int contains(const uint32_t *numbers, uint32_t count, uint32_t number)
{
	for (uint32_t index = 0; index < count; index++)
		if (numbers[index] == number)
			return 1;
	return 0;
}

static int was_there(uint32_t job)
{
	return contains(self.jobs, self.job_count, job);
}

/* The number that a person has been told: that of the array, or of the first component. */
static uint32_t told_number(const slurm_job_info_t *job)
{
	if (job->array_job_id != 0)
		return job->array_job_id;
	return job->het_job_id != 0 ? job->het_job_id : job->job_id;
}

/* Slurm notes the session of whoever submits. */
static int is_from_here(const slurm_job_info_t *job)
{
	return job->user_id == getuid() && job->alloc_sid == (uint32_t)getsid(0);
}

/* It notes the host as well, by the name that slurmctld finds for munge's address: not always the
 * one that the host has for itself. So the name only decides between several. */
static int names_this_host(const slurm_job_info_t *job)
{
	char host[256] = "";

	if (gethostname(host, sizeof host - 1) != 0 || job->alloc_node == NULL)
		return 0;
	host[strcspn(host, ".")] = '\0';
	return strcmp(job->alloc_node, host) == 0;
}

static struct candidates find_candidates(const job_info_msg_t *message, int only_of_this_host)
{
	struct candidates result = {0}, *found = &result;
	const uint32_t room = sizeof found->numbers / sizeof *found->numbers;

	for (uint32_t index = 0; index < message->record_count && found->count < room; index++) {
		const slurm_job_info_t *job = &message->job_array[index];
		uint32_t number = told_number(job);

		/* An old array's task that has become a job meanwhile has the array's old time. */
		if (job->submit_time < self.time || was_there(job->job_id) || was_there(number) ||
		    !is_from_here(job) || contains(found->numbers, found->count, number))
			continue;
		if (only_of_this_host && !names_this_host(job))
			continue;
		if (found->count == 0)
			found->first = job;
		found->numbers[found->count++] = number;
	}
	return result;
}

static struct candidates submitted(const job_info_msg_t *message)
{
	struct candidates all = find_candidates(message, 0), here;

	if (all.count < 2)
		return all;
	here = find_candidates(message, 1);
	return here.count > 0 ? here : all;
}

/* With --clusters Slurm's library asks another cluster from then on, for all that follows. A job's
 * number means another job there. Looked up by name: not each host of the plugin has it. */
static int went_elsewhere(void)
{
	void *const *cluster = dlsym(RTLD_DEFAULT, "working_cluster_rec");

	return cluster != NULL && *cluster != NULL;
}

static int say_many(const struct candidates *found, const struct spunnel_host *host)
{
	char names[sizeof found->numbers / sizeof *found->numbers * sizeof "4294967295, "] = "";

	for (uint32_t index = 0; index < found->count; index++)
		(void)sprintf(strchr(names, '\0'), "%s%u", index > 0 ? ", " : "",
			      found->numbers[index]);
	return say(host, "spunnel: no tunnel: jobs %s were submitted from here at the same time: open "
		   "one for the job that is meant, as in spunnelctl open %u %s", names,
		   found->numbers[0], self.spec);
}

static int say_array(const slurm_job_info_t *job, const struct spunnel_host *host)
{
	unsigned long task = job->array_task_id;

	/* Tasks that wait have one record, with a list of them. */
	if (task == NO_VAL)
		task = job->array_task_str != NULL ? strtoul(job->array_task_str, NULL, 10) : 1;
	return say(host, "spunnel: no tunnel: job arrays have none: open one for a task, as in "
		   "spunnelctl open %u_%lu %s", job->array_job_id, task, self.spec);
}

/* Hands the one job over to the core. Returns 0, or -1 after an error was said. */
static int follow(const struct candidates *found, const struct spunnel_host *host)
{
	const slurm_job_info_t *job = found->first;
	char state[256];

	if (found->count > 1)
		return say_many(found, host);
	if (job->array_job_id != 0)
		return say_array(job, host);
	if (job_phase(job->job_state) == PHASE_OVER) {
		job_describe(job, state, sizeof state);
		return say(host, "spunnel: no tunnel: job %u is over (%s): sbatch --wait returns only "
			   "then, submit without --wait", found->numbers[0], state);
	}
	return core_loaded()->follow(found->numbers[0], host);
}

void submission_end(const struct spunnel_host *host)
{
	struct candidates found;
	job_info_msg_t *message;
	int result = -1;

	if (!self.is_claimed)
		return;
	self.is_claimed = 0;
	if (went_elsewhere()) {
		(void)say(host, "spunnel: no tunnel: the job is another cluster's: submit it on a host "
			  "of that cluster, without --clusters");
	} else if (load_jobs(&message) != 0) {
		(void)say(host, "spunnel: no tunnel: ask Slurm for the job: %s: open one with "
			  "spunnelctl open JOB %s", slurm_strerror(errno), self.spec);
	} else {
		found = submitted(message);
		/* None: sbatch has said why. */
		if (found.count > 0)
			result = follow(&found, host);
		slurm_free_job_info_msg(message);
	}
	/* Ports that were handed over are the keeper's. */
	if (result != 0)
		core_loaded()->close(host);
}
