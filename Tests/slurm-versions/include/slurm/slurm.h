/* Stands for Slurm's header of the release -DRELEASE=0xMMmm00. */
#ifndef SLURM_H
#define SLURM_H

#include <stdint.h>
#include <time.h>

#define SLURM_VERSION_NUMBER RELEASE
#define SLURM_VERSION_NUM(major, minor, micro) (((major) << 16) + ((minor) << 8) + (micro))

#include <slurm/slurm_errno.h>

#include "../../declarations.h"

#define CONSTANT(name, value) enum { name = value };
#define MEMBER(type, name) type name;

CONSTANTS(CONSTANT)
STATES(CONSTANT)

#ifdef EXPEDITING
#define JOB_EXPEDITING EXPEDITING
#endif

struct hostlist;
typedef HOST_LIST_TYPE hostlist_t;

typedef struct { JOB_MEMBERS(MEMBER) } slurm_job_info_t;
typedef struct { MESSAGE_MEMBERS(MEMBER) } job_info_msg_t;
typedef struct { STEP_ID_MEMBERS(MEMBER) } slurm_step_id_t;
typedef struct { LAYOUT_MEMBERS(MEMBER) } slurm_step_layout_t;

FUNCTIONS(DECLARED)

#endif
