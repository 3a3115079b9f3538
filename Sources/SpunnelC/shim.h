/* The parts of the plugin: what Slurm calls (plugin.c), what it asks of Slurm (step.c), and how it
 * reaches the core (core.c). */
#ifndef SHIM_H
#define SHIM_H

#include <stdint.h>

#include "spunnel.h"

/** The core's entry points, found with dlsym(3). */
struct core {
	int (*check)(const char *spec, const struct spunnel_host *host);
	int (*claim)(const char *spec, enum spunnel_origin origin, const struct spunnel_host *host);
	int (*open)(uint32_t job, uint32_t step, const char *nodes, const struct spunnel_host *host);
	void (*close)(void);
};

/** Loads libSpunnel.so from the folder that this plugin lies in, once.
 *  @return the core, or NULL after an error was said through the host's `say` */
const struct core *core_load(const struct spunnel_host *host);

/** The core if it was loaded, else NULL. */
const struct core *core_loaded(void);

/** The folder that this plugin lies in; "." when the loader does not know. Static storage. */
const char *core_directory(void);

/** The nodes of a step, in Slurm's order, separated by commas.
 *  @return memory to be freed by the caller, or NULL when Slurm does not tell (errno says why) */
char *step_nodes(uint32_t job, uint32_t step);

#endif
