/* What the plugin asks of Slurm: the nodes of a step. The allocation's first node may not be one
 * of them, and no environment variable has them yet. */
#include "shim.h"

#include <slurm/slurm.h>
#include <slurm/slurm_errno.h>
#include <stdlib.h>
#include <string.h>

/* slurm.h: until 23.02 the name stands for a pointer, from 23.11 on for the structure. */
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(23, 11, 0)
typedef hostlist_t *host_list;
#else
typedef hostlist_t host_list;
#endif

/* Expands "n[1-2]" to "n1,n2". */
static char *expanded(const char *ranges)
{
	host_list list = slurm_hostlist_create(ranges);
	char *names = NULL, *name;
	size_t length = 0;

	if (list == NULL)
		return NULL;
	while ((name = slurm_hostlist_shift(list)) != NULL) {
		size_t more = strlen(name);
		char *longer = realloc(names, length + more + 2);

		if (longer == NULL) {
			/* Without all of them the first would be the wrong one. */
			free(name);
			free(names);
			names = NULL;
			break;
		}
		names = longer;
		if (length > 0)
			names[length++] = ',';
		memcpy(names + length, name, more + 1);
		length += more;
		free(name);
	}
	slurm_hostlist_destroy(list);
	return names;
}

char *step_nodes(uint32_t job, uint32_t step)
{
	slurm_step_id_t id = {.job_id = job, .step_id = step, .step_het_comp = NO_VAL};
	slurm_step_layout_t *layout = slurm_job_step_layout_get(&id);
	char *names;

	if (layout == NULL)
		return NULL;
	names = expanded(layout->node_list);
	slurm_job_step_layout_free(layout);
	return names;
}
