/* Nodes, as Slurm tells them. For the plugin and for spunnel-jobs. */
#ifndef STEP_H
#define STEP_H

#include <stdint.h>

/** Expands "n[1-2]" to "n1,n2".
 *  @return memory to be freed by the caller, or NULL (errno says why) when there is none left, when
 *  no name is in it, or when Slurm cannot read it */
char *expand_nodes(const char *ranges);

/** The nodes of a step that runs, in Slurm's order, separated by commas.
 *  @return memory to be freed by the caller, or NULL when Slurm does not tell (errno says why) */
char *step_nodes(uint32_t job, uint32_t step);

#endif
