/* The parts of spunnel-jobs, which tells programs without libslurm what Slurm knows. About one
 * job: its name (name.c), the questions to Slurm (facts.c), show.c and watch.c. About many
 * records: list.c, nodes.c, partitions.c and config.c, in the format of record.h. Error messages:
 * voice.c. */
#ifndef JOBS_H
#define JOBS_H

#include <stdint.h>

#include "../CSlurm/state.h"

/** The ways in which the program ends, by exit status. */
enum ending {
	ENDING_DONE = 0,
	ENDING_FAILED = 1,  /**< Slurm does not answer, or refuses */
	ENDING_USAGE = 2,   /**< the words are wrong; printed with the usage */
	ENDING_MISSING = 3, /**< Slurm knows no such job, or the step does not run */
	ENDING_COMPLAINED,  /**< the words are wrong, which is printed already; exits like USAGE */
};

/** A job as a person writes it: 12, 12_3 (a task of an array) or 12+1 (a component of a
 *  heterogeneous job), each perhaps with a step, as in 12.0 or 12.batch. Parts that are not named
 *  are NO_VAL. */
struct job_name {
	const char *text; /**< the text as given, borrowed */
	uint32_t job;
	uint32_t task;
	uint32_t component;
	uint32_t step;    /**< special steps have slurm.h's numbers */
	int is_exact;     /**< only the job with this very number: an array's last task has the
			   * array's number */
};

/** Parses a name strictly.
 *  @return 0, or -1 if it is invalid */
int job_name_read(const char *text, struct job_name *name);

/** Slurm's facts about a job. */
struct facts {
	uint32_t job;     /**< its own number; the array's number for a task that has no record of
			   * its own yet */
	uint32_t user;
	int is_array;     /**< an array without a task: the fields below are not set */
	enum phase phase;
	char detail[256]; /**< Slurm's word for the state, and the reason if there is one */
	char *nodes;      /**< while it runs: the step's or else the allocation's nodes, in Slurm's
			   * order, separated by commas; owned, or NULL */
	char *batch_host; /**< while it runs; owned, or NULL */
};

enum answer {
	ANSWER_FOUND,
	ANSWER_NO_JOB,
	ANSWER_NO_STEP, /**< the job exists, but the named step does not run */
	ANSWER_FAILED,  /**< errno gives the reason */
};

/** Asks Slurm about a job. If slurmctld is away, Slurm's library tries for the configured
 *  MessageTimeout.
 *  @param facts filled for ANSWER_FOUND and ANSWER_NO_STEP; free them with facts_free */
enum answer facts_ask(const struct job_name *name, struct facts *facts);

/** Frees what the facts own. Facts that own nothing are allowed. */
void facts_free(struct facts *facts);

/** Prints the facts once, with a key and a value on each line. */
enum ending show(const struct job_name *name);

/** Prints the state now and at each change, until the job is over. A plain number means the job
 *  with this very number, even if it is the last task of an array of that number.
 *  @param tunnels the folder of the user's records, or NULL; if there are many records, each
 *  tunnel asks Slurm less often
 *  @param seconds between two questions when the job no longer changes; 0: the usual */
enum ending watch(const struct job_name *name, const char *tunnels, int seconds);

/** Answers list: one record for each job.
 *  @param words the words after the command: --user UID, --job ID (repeatable), --columns NAMES */
enum ending list(int count, char **words);

/** Answer nodes, and partitions. */
enum ending list_nodes(const char *columns);
enum ending list_partitions(const char *columns);

/** Answers config: the place and the content of Slurm's configuration. slurmctld is not asked. */
enum ending list_config(const char *columns);

/** Parses a number of digits only.
 *  @return 0, or -1 if the text is not a number below `limit` */
int read_whole_number(const char *text, uint32_t limit, uint32_t *number);

/** Keeps back what Slurm's library writes to standard error, because this program prints one line
 *  per error. If the library ends the program, the library's last line is printed as that line. */
void voice_start(void);

/** Drops what the library has written so far. */
void voice_forget(void);

/** Notes that the program ends by itself, so the library's last line is not printed. */
void voice_end(void);

/** Prints one line to standard error. The format has no newline. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Prints that Slurm failed, with errno's reason. */
void complain_of_slurm(const struct job_name *name);

/** Prints that Slurm failed to tell of jobs, nodes or partitions, with errno's reason. */
enum ending complain_of_request(const char *what);

#endif
