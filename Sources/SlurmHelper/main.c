/* spunnel-jobs: prints what Slurm knows, in lines for programs. It is the only program of Spunnel
 * that links Slurm. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../CSlurm/slurm-versions.h"
#include "jobs.h"

static const char usage[] =
	"usage: spunnel-jobs show JOB, watch JOB [RECORDS [SECONDS]], list [--user UID] [--job ID]… "
	"[--columns NAMES], nodes [NAMES], partitions [NAMES], config [NAMES] or version";

/* Initialises Slurm's library, and keeps its messages back. */
static void begin(void)
{
	/* If the reader of our output has gone, the program must end by a write error, not by
	 * SIGPIPE. */
	(void)signal(SIGPIPE, SIG_IGN);
	/* Without this Slurm cuts lists of an array's tasks at 64 characters. */
	(void)setenv("SLURM_BITSTR_LEN", "0", 1);
	voice_start();
	start_slurm();
}

/* Answers show and watch, for one job. */
static enum ending tell_job(int count, char **words)
{
	struct job_name name;
	int watches = strcmp(words[1], "watch") == 0;
	long seconds = watches && count == 5 ? strtol(words[4], NULL, 10) : 0;

	if (count < 3 || count > (watches ? 5 : 3) || seconds < 0 || seconds > 3600)
		return ENDING_USAGE;
	if (job_name_read(words[2], &name) < 0) {
		complain("read job '%s': it names none: name it as in 12, 12.0, 12_3 or 12+1",
			 words[2]);
		return ENDING_COMPLAINED;
	}
	begin();
	return watches ? watch(&name, count > 3 ? words[3] : NULL, (int)seconds) : show(&name);
}

/* Answers list, nodes, partitions and config, with many records. */
static enum ending tell_records(int count, char **words)
{
	static const struct {
		const char *name;
		enum ending (*list)(const char *columns);
	} lists[] = {
		{"nodes", list_nodes},
		{"partitions", list_partitions},
		{"config", list_config},
	};

	if (strcmp(words[1], "list") == 0) {
		begin();
		return list(count - 2, words + 2);
	}
	for (size_t index = 0; index < sizeof lists / sizeof *lists; index++) {
		if (strcmp(words[1], lists[index].name) == 0 && count <= 3) {
			begin();
			return lists[index].list(words[2]);
		}
	}
	return ENDING_USAGE;
}

int main(int count, char **words)
{
	enum ending ending = ENDING_USAGE;

	/* Prints the release for which it was built, in the words of srun --version. */
	if (count == 2 && strcmp(words[1], "version") == 0) {
		printf("slurm %d.%02d.%d\n", (SLURM_VERSION_NUMBER >> 16) & 0xff,
		       (SLURM_VERSION_NUMBER >> 8) & 0xff, SLURM_VERSION_NUMBER & 0xff);
		return ENDING_DONE;
	}
	if (count >= 2)
		ending = strcmp(words[1], "show") == 0 || strcmp(words[1], "watch") == 0
				 ? tell_job(count, words)
				 : tell_records(count, words);
	voice_end();
	if (ending == ENDING_USAGE)
		complain("%s", usage);
	return ending == ENDING_COMPLAINED ? ENDING_USAGE : ending;
}
