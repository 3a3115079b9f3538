/* The parts of spunnel-jobs, which tells what Slurm knows to programs that do not link Slurm. One job:
 * how it is named (name.c), what is asked (facts.c), show.c and watch.c. Many records: list.c, nodes.c,
 * partitions.c and config.c, in the format of record.h. The one line when something fails: voice.c. */
#ifndef JOBS_H
#define JOBS_H

#include <stdint.h>

#include "../CSlurm/state.h"

/** How the program ends. */
enum ending {
	ENDING_DONE = 0,
	ENDING_FAILED = 1,  /**< Slurm does not answer, or refuses */
	ENDING_USAGE = 2,   /**< the words are wrong; said with the usage */
	ENDING_MISSING = 3, /**< Slurm knows no such job, or the step does not run */
	ENDING_COMPLAINED,  /**< the words are wrong, and that is said already; the status of USAGE */
};

/** A job as a person names it: 12, 12_3 (a task of an array), 12+1 (a component of a heterogeneous
 *  job), each with a step behind it, as in 12.0 or 12.batch. What was not named is NO_VAL. */
struct job_name {
	const char *text; /**< as it was given, borrowed */
	uint32_t job;
	uint32_t task;
	uint32_t component;
	uint32_t step;    /**< the special ones by slurm.h's numbers */
	int is_exact;     /**< the job that has this very number: an array's last task has the array's */
};

/** Reads a name strictly.
 *  @return 0, or -1 when it is none */
int job_name_read(const char *text, struct job_name *name);

/** What Slurm knows of a job. */
struct facts {
	uint32_t job;     /**< its own number; of a task that is not yet apart from its array, the
			   *   array's */
	uint32_t user;
	int is_array;     /**< an array without a task: nothing below is set then */
	enum phase phase;
	char detail[256]; /**< Slurm's word for the state, and its reason if there is one */
	char *nodes;      /**< while it runs, by commas in Slurm's order: the step's if one was named,
			   *   else the allocation's; owned, or NULL */
	char *batch_host; /**< while it runs; owned, or NULL */
};

enum answer {
	ANSWER_FOUND,
	ANSWER_NO_JOB,
	ANSWER_NO_STEP, /**< the job is there, the step that was named does not run */
	ANSWER_FAILED,  /**< errno says why */
};

/** Asks Slurm about a job. While slurmctld is away this takes its time: Slurm's library tries for
 *  the configured MessageTimeout.
 *  @param facts filled with ANSWER_FOUND and ANSWER_NO_STEP; free them with facts_free */
enum answer facts_ask(const struct job_name *name, struct facts *facts);

/** Frees what facts own; harmless when that is nothing. */
void facts_free(struct facts *facts);

/** Prints the facts once, as lines of a key and a value. */
enum ending show(const struct job_name *name);

/** Prints the state now and at each change, until the job is over. A number alone is the job that
 *  has this very number, also when it is the last task of an array of that number.
 *  @param tunnels the folder of the user's records, or NULL: the more there are, the less often each
 *  of them asks Slurm */
enum ending watch(const struct job_name *name, const char *tunnels);

/** Answers list: jobs, a record each.
 *  @param words what stands behind the command: --user UID, --job ID (several), --columns NAMES */
enum ending list(int count, char **words);

/** Answers nodes, and partitions. */
enum ending list_nodes(const char *columns);
enum ending list_partitions(const char *columns);

/** Answers config: where Slurm's configuration is, and what it says. slurmctld is not asked. */
enum ending list_config(const char *columns);

/** Reads digits alone.
 *  @return 0, or -1 when the text is no number below `limit` */
int read_whole_number(const char *text, uint32_t limit, uint32_t *number);

/** Keeps what Slurm's library writes to standard error for itself: this program's errors are one
 *  line. When the library ends the program, its own last line is that line. */
void voice_start(void);

/** Lets go of what the library has said so far. */
void voice_forget(void);

/** The program ends by itself: the library has no last word. */
void voice_end(void);

/** Says one line on standard error, without newline. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Complains that Slurm failed, by errno. */
void complain_of_slurm(const struct job_name *name);

/** Complains that Slurm failed, by errno, to tell of jobs, nodes or partitions. */
enum ending complain_of_request(const char *what);

#endif
