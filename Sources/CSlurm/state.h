/* What a job's state means for a tunnel. For the plugin and for spunnel-jobs. */
#ifndef STATE_H
#define STATE_H

#include <stddef.h>
#include <stdint.h>

#include <slurm/slurm.h>

/** What a tunnel can do with a job: wait for it, reach it, forget it. */
enum phase { PHASE_PENDING, PHASE_RUNNING, PHASE_OVER };

/** The phase of a job.
 *  @param state job_info's job_state, a base with flags */
enum phase job_phase(uint32_t state);

/** Slurm's word for a state: "PENDING". */
const char *job_state_word(uint32_t state);

/** Slurm's word for the number of a reason: "Resources".
 *  @return NULL for no reason, and where the release does not tell its words */
const char *job_reason_word(uint32_t reason);

/** Why a job waits or has failed: what the state's description says, else the reason's word.
 *  @return borrowed, or NULL */
const char *job_reason(const slurm_job_info_t *job);

/** Says a job's state, and the reason if there is one, in Slurm's words on one line.
 *  @param text filled, and cut to `size` bytes with its end */
void job_describe(const slurm_job_info_t *job, char *text, size_t size);

#endif
