/* spunnel-jobs list: jobs as Slurm describes them, one record for each. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../CSlurm/slurm-versions.h"
#include "record.h"

enum { MOST_JOBS = 4096 };

static const slurm_job_info_t *job_of(const void *record)
{
	return record;
}

#define COLUMN(name, ...) \
	static void write_##name(const void *record) \
	{ \
		const slurm_job_info_t *job = job_of(record); \
		__VA_ARGS__; \
	}
#define TEXT(name, member) COLUMN(name, put_text(job->member))
#define TIME(name, member) COLUMN(name, put_time(job->member))
#define LIMIT(name, member, none) COLUMN(name, put_limit(job->member, none))

static void put_phase(uint32_t state)
{
	static const char *const phases[] = {
		[PHASE_PENDING] = "pending", [PHASE_RUNNING] = "running", [PHASE_OVER] = "over"};

	put_text(phases[job_phase(state)]);
}

static void put_nice(uint32_t nice)
{
	if (nice < NICE_OFFSET)
		(void)putchar('-');
	put_number(nice < NICE_OFFSET ? NICE_OFFSET - nice : nice - NICE_OFFSET);
}

/* Slurm marks memory for each CPU by the highest bit. */
static void put_memory(uint64_t memory, int is_per_cpu)
{
	if (memory != NO_VAL64 && ((memory & MEM_PER_CPU) != 0) == is_per_cpu)
		put_number(memory & ~MEM_PER_CPU);
}

LIMIT(id, job_id, NO_VAL)
COLUMN(array, if (job->array_job_id != 0) put_number(job->array_job_id))
LIMIT(task, array_task_id, NO_VAL)
TEXT(tasks, array_task_str)
COLUMN(throttle, if (job->array_max_tasks != 0) put_limit(job->array_max_tasks, NO_VAL))
COLUMN(het, if (job->het_job_id != 0) put_limit(job->het_job_id, NO_VAL))
COLUMN(component, if (job->het_job_id != 0) put_limit(job->het_job_offset, NO_VAL))
TEXT(name, name)
LIMIT(user, user_id, NO_VAL)
TEXT(account, account)
COLUMN(phase, put_phase(job->job_state))
COLUMN(state, put_text(job_state_word(job->job_state)))
COLUMN(completing, put_number((job->job_state & JOB_COMPLETING) != 0))
COLUMN(reason, put_text(job_reason_word(job->state_reason)))
TEXT(explanation, state_desc)
TEXT(partition, partition)
TEXT(qos, qos)
TEXT(nodes, nodes)
LIMIT(node_count, num_nodes, NO_VAL)
LIMIT(cpus, num_cpus, NO_VAL)
LIMIT(tasks_wanted, num_tasks, NO_VAL)
LIMIT(cpus_per_task, cpus_per_task, NO_VAL16)
LIMIT(tasks_per_node, ntasks_per_node, NO_VAL16)
COLUMN(memory_per_node, put_memory(job->pn_min_memory, 0))
COLUMN(memory_per_cpu, put_memory(job->pn_min_memory, 1))
TEXT(comment, comment)
TIME(submitted, submit_time)
TIME(eligible, eligible_time)
TIME(started, start_time)
TIME(ended, end_time)
LIMIT(limit, time_limit, NO_VAL)
LIMIT(exit, exit_code, NO_VAL)
LIMIT(derived_exit, derived_ec, NO_VAL)
TEXT(folder, work_dir)
TEXT(output, std_out)
TEXT(errors, std_err)
TEXT(input, std_in)
TEXT(command, command)
COLUMN(batch, put_number(job->batch_flag != 0))
TEXT(batch_host, batch_host)
TEXT(features, features)
TEXT(gres, tres_per_node)
TEXT(tres, tres_req_str)
TEXT(tres_used, tres_alloc_str)
TEXT(licenses, licenses)
TEXT(dependency, dependency)
TEXT(required_nodes, req_nodes)
TEXT(excluded_nodes, exc_nodes)
TEXT(planned_nodes, sched_nodes)
TEXT(reservation, resv_name)
LIMIT(priority, priority, NO_VAL)
COLUMN(nice, put_nice(job->nice))
COLUMN(restarts, put_number(job->restart_cnt))

#define ROW(name) {#name, write_##name}

static const struct column columns[] = {
	ROW(id), ROW(array), ROW(task), ROW(tasks), ROW(throttle), ROW(het),
	ROW(component), ROW(name), ROW(user), ROW(account), ROW(phase), ROW(state),
	ROW(completing), ROW(reason), ROW(explanation), ROW(partition), ROW(qos),
	ROW(nodes), ROW(node_count), ROW(cpus), ROW(tasks_wanted), ROW(cpus_per_task),
	ROW(tasks_per_node), ROW(memory_per_node), ROW(memory_per_cpu), ROW(comment),
	ROW(submitted), ROW(eligible), ROW(started), ROW(ended), ROW(limit),
	ROW(exit), ROW(derived_exit), ROW(folder), ROW(output), ROW(errors),
	ROW(input), ROW(command), ROW(batch), ROW(batch_host), ROW(features),
	ROW(gres), ROW(tres), ROW(tres_used), ROW(licenses), ROW(dependency),
	ROW(required_nodes), ROW(excluded_nodes), ROW(planned_nodes), ROW(reservation),
	ROW(priority), ROW(nice), ROW(restarts), {0},
};

/* The parsed request. */
struct request {
	const char *columns;
	uint32_t user; /* NO_VAL: the jobs of all users */
	uint32_t jobs[MOST_JOBS];
	size_t job_count; /* 0: all jobs */
};

static struct request request = {.user = NO_VAL};

static int read_request(int count, char **words)
{
	for (int index = 0; index < count; index += 2) {
		const char *value = index + 1 < count ? words[index + 1] : NULL;

		if (value != NULL && strcmp(words[index], "--columns") == 0)
			request.columns = value;
		else if (value != NULL && strcmp(words[index], "--user") == 0 &&
			 read_whole_number(value, NO_VAL, &request.user) == 0)
			continue;
		else if (value != NULL && strcmp(words[index], "--job") == 0 &&
			 request.job_count < MOST_JOBS &&
			 read_whole_number(value, NO_VAL, &request.jobs[request.job_count]) == 0)
			request.job_count++;
		else
			return -1;
	}
	return 0;
}

/* Whether the request selects a job. The number of an array or a heterogeneous job selects all of
 * it. */
static int is_wanted(const slurm_job_info_t *job)
{
	if (request.user != NO_VAL && job->user_id != request.user)
		return 0;
	for (size_t index = 0; index < request.job_count; index++) {
		uint32_t number = request.jobs[index];

		if (job->job_id == number || job->array_job_id == number ||
		    job->het_job_id == number)
			return 1;
	}
	return request.job_count == 0;
}

/* Loads the job records. A single job is requested by its number. For several jobs, one request
 * for all jobs is less load for slurmctld. */
static int load(job_info_msg_t **message)
{
	const uint16_t flags = SHOW_ALL | SHOW_LOCAL;

	if (request.job_count == 1)
		return load_job(message, request.jobs[0]);
	if (request.user != NO_VAL)
		return slurm_load_job_user(message, request.user, flags);
	return slurm_load_jobs(0, message, flags);
}

enum ending list(int count, char **words)
{
	job_info_msg_t *message = NULL;

	if (read_request(count, words) != 0)
		return ENDING_USAGE;
	errno = 0;
	if (load(&message) != 0) {
		/* There is no such job: the answer has no records. */
		if (request.job_count != 1 || errno != ESLURM_INVALID_JOB_ID)
			return complain_of_request("jobs");
		message = NULL;
	}
	if (records_begin("jobs", columns, request.columns) != 0)
		return ENDING_FAILED;
	for (uint32_t index = 0; message != NULL && index < message->record_count; index++)
		if (is_wanted(&message->job_array[index]))
			records_add(&message->job_array[index]);
	/* The memory is freed when the program exits. */
	return records_end();
}
