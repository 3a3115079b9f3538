/* spunnel-jobs show: prints the facts of a job once. */
#include <errno.h>
#include <stdio.h>

#include "../CSlurm/slurm-versions.h"
#include "jobs.h"

static void print(const struct job_name *name, const struct facts *facts)
{
	static const char *const phases[] = {
		[PHASE_PENDING] = "pending", [PHASE_RUNNING] = "running", [PHASE_OVER] = "over"};

	printf("job %u\n", facts->job);
	if (name->step != NO_VAL)
		printf("step %u\n", name->step);
	if (facts->is_array) {
		puts("array yes");
	} else {
		printf("state %s\n", phases[facts->phase]);
		printf("detail %s\n", facts->detail);
	}
	printf("user %u\n", facts->user);
	if (facts->nodes != NULL)
		printf("nodes %s\n", facts->nodes);
	if (facts->batch_host != NULL)
		printf("batchhost %s\n", facts->batch_host);
}

enum ending show(const struct job_name *name)
{
	enum ending ending = ENDING_DONE;
	struct facts facts;

	switch (facts_ask(name, &facts)) {
	case ANSWER_FOUND:
		print(name, &facts);
		if (fflush(stdout) != 0) {
			complain("print the facts of job '%s': %s", name->text, slurm_strerror(errno));
			ending = ENDING_FAILED;
		}
		break;
	case ANSWER_NO_JOB:
		complain("find job '%s': Slurm has no such job now: squeue lists those that it has",
			 name->text);
		return ENDING_MISSING;
	case ANSWER_NO_STEP:
		complain("find step '%s': it does not run, and its job is %s: squeue --steps lists the "
			 "steps that run", name->text, facts.detail);
		ending = ENDING_MISSING;
		break;
	case ANSWER_FAILED:
		complain_of_slurm(name);
		return ENDING_FAILED;
	}
	facts_free(&facts);
	return ending;
}
