/* The differences between Slurm 20.11 and 26.05, for all code that is compiled against Slurm.
 * Tests/slurm-versions compiles that code against the headers of each release. */
#ifndef SLURM_VERSIONS_H
#define SLURM_VERSIONS_H

#include <stdint.h>

#include <slurm/slurm.h>
#include <slurm/slurm_errno.h>

#define SLURM_SINCE(major, minor) \
	(SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(major, minor, 0))

/* In slurm.h, hostlist_t is a pointer until 23.02, and the structure itself from 23.11 on. */
#if SLURM_SINCE(23, 11)
typedef hostlist_t *host_list;
#else
typedef hostlist_t host_list;
#endif

/* Since 26.05: a job that has ended and may run again at once. */
#ifndef JOB_EXPEDITING
#define JOB_EXPEDITING 0
#endif

/* Since 24.05: a job whose steps are managed on its own nodes (stepmgr). The step manager does not
 * know the batch step and the extern step. Before, slurmctld answered for these. */
#ifndef STEPMGR_ENABLED
#define STEPMGR_ENABLED 0
#endif

/** Names a step for Slurm.
 *  @param step NO_VAL: the whole job */
static inline slurm_step_id_t step_named(uint32_t job, uint32_t step)
{
	/* Slurm 20.11 added the component of a heterogeneous step. Slurm 24.11 added `sluid`,
	 * which stays 0. */
	slurm_step_id_t id = {.job_id = job, .step_id = step, .step_het_comp = NO_VAL};

	return id;
}

/** Asks slurmctld for one job. A job array gives one record for each task that has a record, a
 *  heterogeneous job one for each component. Federations are not asked.
 *  @param message to be freed with slurm_free_job_info_msg
 *  @return 0, or -1 (errno) */
static inline int load_job(job_info_msg_t **message, uint32_t job)
{
#if SLURM_SINCE(26, 5)
	return slurm_load_job(message, step_named(job, NO_VAL), SHOW_ALL | SHOW_LOCAL);
#else
	return slurm_load_job(message, job, SHOW_ALL | SHOW_LOCAL);
#endif
}

/** Reports how much of a node is in use.
 *  @param cpus filled
 *  @param memory filled, in MiB */
static inline void node_use(const node_info_t *node, uint16_t *cpus, uint64_t *memory)
{
	*cpus = 0;
	*memory = 0;
#if SLURM_SINCE(25, 5)
	*cpus = node->alloc_cpus;
	*memory = node->alloc_memory;
#else
	if (node->select_nodeinfo == NULL)
		return;
	(void)slurm_get_select_nodeinfo(node->select_nodeinfo, SELECT_NODEDATA_SUBCNT,
					NODE_STATE_ALLOCATED, cpus);
	(void)slurm_get_select_nodeinfo(node->select_nodeinfo, SELECT_NODEDATA_MEM_ALLOC,
					NODE_STATE_ALLOCATED, memory);
#endif
}

/** Initialises Slurm's library in a program of our own. Without a configuration the library ends
 *  the program. The last releases of 20.11 also have slurm_init; no release before 21.08 needs it. */
static inline void start_slurm(void)
{
#if SLURM_SINCE(21, 8)
	slurm_init(NULL);
#endif
}

#endif
