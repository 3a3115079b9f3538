/* Node names, as Slurm gives them. For the plugin and for spunnel-jobs. */
#ifndef STEP_H
#define STEP_H

#include <stdint.h>

/** Expands "n[1-2]" to "n1,n2".
 *  @return memory to be freed by the caller, or NULL (errno) if memory is short, the list is
 *  empty, or Slurm cannot parse it */
char *expand_nodes(const char *ranges);

/** The nodes of a running step in Slurm's order, separated by commas.
 *  @return memory to be freed by the caller, or NULL (errno) if Slurm does not tell */
char *step_nodes(uint32_t job, uint32_t step);

#endif
