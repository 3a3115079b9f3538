/* The parts of the plugin: the calls from Slurm (plugin.c), the host program (program.c), sbatch
 * (submission.c) and its answer (answer.c), the questions to Slurm (step.c, state.c), and the core
 * (core.c). */
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

/** Loads libSpunnel.so from the plugin's own folder, once.
 *  @return the core, or NULL after an error was printed with the host's `say` */
const struct core *core_load(const struct spunnel_host *host);

/** The core if it is loaded, otherwise NULL. */
const struct core *core_loaded(void);

/** The folder of the plugin's file, even if Slurm has loaded a symbolic link to it.
 *  @return static storage, or NULL if the loader does not know */
const char *core_directory(void);

/** The programs of SPANK's allocator context. */
enum allocator { ALLOCATOR_UNKNOWN, ALLOCATOR_SBATCH, ALLOCATOR_SALLOC, ALLOCATOR_SCRONTAB };

/** The program that this process runs, under any name. */
enum allocator allocator_program(void);

/** Whether the host of this process is one of the cluster's nodes, as slurm.conf says. */
bool program_runs_on_node(void);

/** Whether a long option without a value is on the command line of this process, perhaps abbreviated. */
bool program_has_option(const char *option);

/** Whether Slurm's program runs with --quiet. sbatch then does not print its job's number. */
int program_is_quiet(void);

/** Watches this process's output for the number of a submitted job. The output is passed on
 *  unchanged.
 *  @param heard called once, when the line is written
 *  @return 0, or -1 (errno) */
int answer_await(void (*heard)(uint32_t job));

/** Writes the rest of the output. `heard` is not called any more. */
void answer_finish(void);

/** Claims the ports of --tunnel in sbatch. Before submission_settle another call replaces the
 *  spec, as the command line replaces the script's lines. A line that the command line will
 *  replace is only checked. When sbatch prints its job's number, the core follows that job, or one
 *  line says why there is no tunnel.
 *  @return 0, or -1 after an error was printed */
int submission_claim(const char *spec, const struct spunnel_host *host);

/** Notes that sbatch has read all options; called for each component of a heterogeneous job.
 *  @return 0, or -1 after an error was printed */
int submission_settle(const struct spunnel_host *host);

/** Ends sbatch's part: releases the ports if no job number was printed. Without a claim it does
 *  nothing. */
void submission_end(const struct spunnel_host *host);

/** When the plugin is loaded: notes what the environment says already. */
void export_begin(void);

/** In sbatch, when all options were read: if this cluster cannot give a job what --export asks for, says so and ends
 *  sbatch. */
void export_check(const struct spunnel_host *host);

#endif
