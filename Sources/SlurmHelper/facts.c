/* Questions to Slurm about a job. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../CSlurm/slurm-versions.h"
#include "../CSlurm/step.h"
#include "jobs.h"

/* Whether a list of tasks has a task. Waiting tasks share one record with such a list, as in
 * "1-4,7-15:4%2". */
static int lists_task(const char *list, uint32_t task)
{
	while (list != NULL && *list >= '0' && *list <= '9') {
		char *end;
		unsigned long first = strtoul(list, &end, 10), last = first, stride = 1;

		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		if (*end == ':')
			stride = strtoul(end + 1, &end, 10);
		if (task >= first && task <= last && stride > 0 && (task - first) % stride == 0)
			return 1;
		list = *end == ',' ? end + 1 : NULL;
	}
	return 0;
}

static int matches(const slurm_job_info_t *record, const struct job_name *name)
{
	if (name->task != NO_VAL) {
		if (record->array_job_id != name->job)
			return 0;
		return record->array_task_id == name->task ||
		       (record->array_task_id == NO_VAL &&
			lists_task(record->array_task_str, name->task));
	}
	if (name->component != NO_VAL)
		return record->het_job_id == name->job && record->het_job_offset == name->component;
	return record->job_id == name->job || (record->array_job_id == name->job && !name->is_exact);
}

static const slurm_job_info_t *find(const job_info_msg_t *message, const struct job_name *name)
{
	for (uint32_t index = 0; index < message->record_count; index++)
		if (matches(&message->job_array[index], name))
			return &message->job_array[index];
	return NULL;
}

/* The nodes of a batch or extern step under stepmgr, which only the job's own record has. Returns
 * memory to be freed by the caller; NULL (errno) for all other steps, and if memory is short. */
static char *nodes_of_record(const slurm_job_info_t *record, uint32_t step)
{
	errno = ESLURM_INVALID_JOB_ID;
	if ((record->bitflags & STEPMGR_ENABLED) == 0)
		return NULL;
	if (step == SLURM_BATCH_SCRIPT && record->batch_host != NULL)
		return strdup(record->batch_host);
	if (step == SLURM_EXTERN_CONT && record->nodes != NULL)
		return expand_nodes(record->nodes);
	return NULL;
}

/* Finds the facts that exist only while the job runs. */
static enum answer ask_nodes(const slurm_job_info_t *record, const struct job_name *name,
			     struct facts *facts)
{
	if (name->step != NO_VAL) {
		facts->nodes = step_nodes(record->job_id, name->step);
		if (facts->nodes == NULL && errno == ESLURM_INVALID_JOB_ID)
			facts->nodes = nodes_of_record(record, name->step);
		if (facts->nodes == NULL) {
			switch (errno) {
			/* In the last two cases the job has changed since its record was read. */
			case ESLURM_INVALID_JOB_ID:
			case ESLURM_ALREADY_DONE:
			case ESLURM_JOB_PENDING:
				return ANSWER_NO_STEP;
			default:
				return ANSWER_FAILED;
			}
		}
	} else if (record->nodes != NULL && (facts->nodes = expand_nodes(record->nodes)) == NULL) {
		return ANSWER_FAILED;
	}
	if (record->batch_host != NULL)
		facts->batch_host = strdup(record->batch_host);
	return ANSWER_FOUND;
}

static enum answer read_record(const slurm_job_info_t *record, const struct job_name *name,
			       struct facts *facts)
{
	enum answer answer = name->step == NO_VAL ? ANSWER_FOUND : ANSWER_NO_STEP;

	facts->job = record->job_id;
	facts->user = record->user_id;
	facts->is_array = name->task == NO_VAL && record->array_job_id == name->job &&
			  (record->array_task_id == NO_VAL || !name->is_exact);
	if (facts->is_array) {
		facts->job = name->job;
		return ANSWER_FOUND;
	}
	facts->phase = job_phase(record->job_state);
	job_describe(record, facts->detail, sizeof facts->detail);
	if (facts->phase == PHASE_RUNNING)
		answer = ask_nodes(record, name, facts);
	return answer;
}

enum answer facts_ask(const struct job_name *name, struct facts *facts)
{
	job_info_msg_t *message = NULL;
	const slurm_job_info_t *record;
	enum answer answer;
	int saved;

	*facts = (struct facts){0};
	errno = 0;
	if (load_job(&message, name->job) != 0)
		return errno == ESLURM_INVALID_JOB_ID ? ANSWER_NO_JOB : ANSWER_FAILED;
	record = find(message, name);
	answer = record != NULL ? read_record(record, name, facts) : ANSWER_NO_JOB;
	saved = errno;
	slurm_free_job_info_msg(message);
	if (answer == ANSWER_FAILED)
		facts_free(facts);
	errno = saved;
	return answer;
}

void facts_free(struct facts *facts)
{
	free(facts->nodes);
	free(facts->batch_host);
	facts->nodes = facts->batch_host = NULL;
}
