/* Slurm's node lists. The allocation's first node may not belong to the step. No environment
 * variable has all nodes of the step when the plugin needs them. */
#include "step.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "slurm-versions.h"

char *expand_nodes(const char *ranges)
{
	host_list list = slurm_hostlist_create(ranges);
	char *names = NULL, *name;
	size_t length = 0;
	int failure = ENOENT;

	if (list == NULL) {
		/* slurm_hostlist_create does not promise to set errno. */
		errno = EINVAL;
		return NULL;
	}
	while ((name = slurm_hostlist_shift(list)) != NULL) {
		size_t more = strlen(name);
		char *longer = realloc(names, length + more + 2);

		if (longer == NULL) {
			/* A part of the list would be wrong, because its first node may differ. */
			free(name);
			free(names);
			names = NULL;
			failure = ENOMEM;
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
	if (names == NULL)
		errno = failure;
	return names;
}

char *step_nodes(uint32_t job, uint32_t step)
{
	slurm_step_id_t id = step_named(job, step);
	slurm_step_layout_t *layout = slurm_job_step_layout_get(&id);
	char *names;
	int saved;

	if (layout == NULL)
		return NULL;
	names = expand_nodes(layout->node_list);
	saved = errno;
	slurm_job_step_layout_free(layout);
	errno = saved;
	return names;
}
