/* The meaning of a job's state for a tunnel. For the plugin and for spunnel-jobs. */
#ifndef STATE_H
#define STATE_H

#include <stddef.h>
#include <stdint.h>

#include <slurm/slurm.h>

/** The phases of a job: a tunnel waits for it, reaches it, or is over. */
enum phase { PHASE_PENDING, PHASE_RUNNING, PHASE_OVER };

/** The phase of a job.
 *  @param state job_state of job_info: a base state with flags */
enum phase job_phase(uint32_t state);

/** Slurm's word for a state, such as "PENDING". */
const char *job_state_word(uint32_t state);

/** Slurm's word for a reason, such as "Resources".
 *  @return NULL for no reason, or if this release of Slurm does not offer its words */
const char *job_reason_word(uint32_t reason);

/** The reason why a job waits or has failed: the state's description, or the reason's word.
 *  @return borrowed, or NULL */
const char *job_reason(const slurm_job_info_t *job);

/** Describes a job's state and reason in Slurm's words on one line.
 *  @param text filled, and cut to `size` bytes including the NUL */
void job_describe(const slurm_job_info_t *job, char *text, size_t size);

#endif
