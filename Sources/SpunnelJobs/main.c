/* spunnel-jobs: what Slurm knows of one job, in lines that a program reads. The only program of
 * Spunnel that links Slurm. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../SpunnelC/slurm-versions.h"
#include "jobs.h"

static const char usage[] = "usage: spunnel-jobs show JOB, or watch JOB [RECORDS]";

int main(int count, char **words)
{
	struct job_name name;
	enum ending ending;

	int watches = count >= 3 && strcmp(words[1], "watch") == 0;

	if (!(watches && count <= 4) && !(count == 3 && strcmp(words[1], "show") == 0)) {
		complain("%s", usage);
		return ENDING_USAGE;
	}
	if (job_name_read(words[2], &name) < 0) {
		complain("read job '%s': it names none: name it as in 12, 12.0, 12_3 or 12+1",
			 words[2]);
		return ENDING_USAGE;
	}
	/* Who reads us has gone: that is an end, and not a signal's. */
	(void)signal(SIGPIPE, SIG_IGN);
	/* Lists of an array's tasks are cut at 64 characters otherwise. */
	(void)setenv("SLURM_BITSTR_LEN", "0", 1);
	voice_start();
	start_slurm();
	ending = watches ? watch(&name, words[3]) : show(&name);
	voice_end();
	return ending;
}
