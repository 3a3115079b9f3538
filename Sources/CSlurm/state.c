/* The meaning of Slurm's job states for a tunnel, and their names. */
#define _GNU_SOURCE
#include "state.h"

#include <dlfcn.h>
#include <stdio.h>

#include "slurm-versions.h"

/* The job has ended and goes back to the queue. SPECIAL_EXIT and REQUEUE_HOLD keep it there until
 * a user releases it. */
#define RETURNING (JOB_REQUEUE | JOB_REQUEUE_HOLD | JOB_SPECIAL_EXIT | JOB_EXPEDITING)

/* The job has its nodes, but they boot or run their prolog. */
#define STARTING (JOB_CONFIGURING | JOB_POWER_UP_NODE)

enum phase job_phase(uint32_t state)
{
	/* Another cluster of the federation runs the job. */
	if (state & JOB_REVOKED)
		return PHASE_OVER;
	if (state & RETURNING)
		return PHASE_PENDING;
	switch (state & JOB_STATE_BASE) {
	case JOB_PENDING:
		return PHASE_PENDING;
	case JOB_RUNNING:
		return state & STARTING ? PHASE_PENDING : PHASE_RUNNING;
	case JOB_SUSPENDED:
		/* A suspended job keeps its nodes and continues there later. */
		return PHASE_RUNNING;
	default:
		return PHASE_OVER;
	}
}

const char *job_state_word(uint32_t state)
{
	if (state & JOB_REVOKED)
		return "REVOKED";
	switch (state & JOB_STATE_BASE) {
	case JOB_PENDING: return "PENDING";
	case JOB_RUNNING: return state & STARTING ? "CONFIGURING" : "RUNNING";
	case JOB_SUSPENDED: return "SUSPENDED";
	case JOB_COMPLETE: return "COMPLETED";
	case JOB_CANCELLED: return "CANCELLED";
	case JOB_FAILED: return "FAILED";
	case JOB_TIMEOUT: return "TIMEOUT";
	case JOB_NODE_FAIL: return "NODE_FAIL";
	case JOB_PREEMPTED: return "PREEMPTED";
	case JOB_BOOT_FAIL: return "BOOT_FAIL";
	case JOB_DEADLINE: return "DEADLINE";
	case JOB_OOM: return "OUT_OF_MEMORY";
	default: return "UNKNOWN";
	}
}

/* Looks the function up by name: libslurm exports it, but slurm.h does not declare it, and a
 * release may lack it. Without it there is no word. */
const char *job_reason_word(uint32_t reason)
{
	static const char *const names[] = {
		"slurm_job_reason_string", "slurm_job_state_reason_string"};
	static const char *(*word)(uint32_t reason);

	if (reason == WAIT_NO_REASON)
		return NULL;
	for (size_t index = 0; word == NULL && index < sizeof names / sizeof *names; index++)
		*(void **)&word = dlsym(RTLD_DEFAULT, names[index]);
	return word != NULL ? word(reason) : NULL;
}

const char *job_reason(const slurm_job_info_t *job)
{
	if (job->state_desc != NULL && job->state_desc[0] != '\0')
		return job->state_desc;
	return job_reason_word(job->state_reason);
}

void job_describe(const slurm_job_info_t *job, char *text, size_t size)
{
	const char *reason = job_reason(job);

	(void)snprintf(text, size, "%s%s%s", job_state_word(job->job_state), reason != NULL ? " " : "",
		       reason != NULL ? reason : "");
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			*text = '?';
}
