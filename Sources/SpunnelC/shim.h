/* The parts of the plugin: what Slurm calls (plugin.c), what it does in sbatch (submission.c), what
 * it asks of Slurm (step.c, state.c), and how it reaches the core (core.c). */
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

/** In sbatch, when --tunnel was read: claims its ports and notes which jobs there are. Before
 *  submission_settle another call replaces the spec, as the command line does the script's lines;
 *  a line that the command line will replace is only checked.
 *  @return 0, or -1 after an error was said */
int submission_claim(const char *spec, const struct spunnel_host *host);

/** In sbatch, when all options were read; of each component of a heterogeneous job.
 *  @return 0, or -1 after an error was said */
int submission_settle(const struct spunnel_host *host);

/** In sbatch, at its end: finds the job that it has submitted and has the core follow it, or says
 *  in one line why there is no tunnel. Without a claim it does nothing. */
void submission_end(const struct spunnel_host *host);

#endif
