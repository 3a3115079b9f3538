/* The parts of the plugin: what Slurm calls (plugin.c), which program that is (program.c), what it does in
 * sbatch (submission.c) and hears there (answer.c), what it asks of Slurm (step.c, state.c), and how it reaches
 * the core (core.c). */
#ifndef SHIM_H
#define SHIM_H

#include <stdint.h>

#include "spunnel.h"
#include "../CSlurm/step.h"

/** The core's entry points, found with dlsym(3). */
struct core {
	int (*check)(const char *spec, const struct spunnel_host *host);
	int (*claim)(const char *spec, enum spunnel_origin origin, const struct spunnel_host *host);
	int (*open)(uint32_t job, uint32_t step, const char *nodes, const struct spunnel_host *host);
	int (*follow)(uint32_t job, const struct spunnel_host *host);
	void (*close)(const struct spunnel_host *host);
};

/** Loads libSpunnel.so from the folder that this plugin lies in, once.
 *  @return the core, or NULL after an error was said through the host's `say` */
const struct core *core_load(const struct spunnel_host *host);

/** The core if it was loaded, else NULL. */
const struct core *core_loaded(void);

/** The folder that this plugin's file lies in, whatever link to it Slurm has loaded.
 *  @return static storage, or NULL when the loader does not know */
const char *core_directory(void);

/** The programs of SPANK's allocator context. */
enum allocator { ALLOCATOR_UNKNOWN, ALLOCATOR_SBATCH, ALLOCATOR_SALLOC, ALLOCATOR_SCRONTAB };

/** Tells which of them this process is, by whatever name it was started. */
enum allocator allocator_program(void);

/** Whether the host of this process is one of the cluster's nodes, as slurm.conf says. */
bool program_runs_on_node(void);

/** Whether Slurm's program was told --quiet. Such an sbatch tells no number of its job. */
int program_is_quiet(void);

/** Reads what this process prints, which is passed on unchanged, for the number of a submitted job.
 *  @param heard called once, when the line is written
 *  @return 0, or -1 (errno) */
int answer_await(void (*heard)(uint32_t job));

/** Writes what is not written yet, and calls `heard` for no number after that. */
void answer_finish(void);

/** In sbatch, when --tunnel was read: claims its ports. Before submission_settle another call replaces
 *  the spec, as the command line does the script's lines; a line that the command line will replace is
 *  only checked. When sbatch tells the number of its job, the core follows that job, or one line says why
 *  there is no tunnel.
 *  @return 0, or -1 after an error was said */
int submission_claim(const char *spec, const struct spunnel_host *host);

/** In sbatch, when all options were read; of each component of a heterogeneous job.
 *  @return 0, or -1 after an error was said */
int submission_settle(const struct spunnel_host *host);

/** In sbatch, at its end: gives the ports up if no job was told. Without a claim it does nothing. */
void submission_end(const struct spunnel_host *host);

#endif
