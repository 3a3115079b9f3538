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

#define NODE_STATE(name, value) name = value,
enum node_states { NODE_STATES(NODE_STATE) };
#if !SINCE(25, 5)
enum select_nodedata_type { NODE_DATA(NODE_STATE) };
typedef struct dynamic_plugin_data dynamic_plugin_data_t;
#endif

/* Macros, as there: WIDE_CONSTANTS lists them for agrees.c. */
#define NO_VAL64 0xfffffffffffffffe
#define MEM_PER_CPU 0x8000000000000000
#define NICE_OFFSET 0x80000000

#ifdef EXPEDITING
#define JOB_EXPEDITING EXPEDITING
#endif
#ifdef STEPMGR
#define STEPMGR_ENABLED STEPMGR
#endif

struct hostlist;
typedef HOST_LIST_TYPE hostlist_t;

typedef struct { JOB_MEMBERS(MEMBER) } slurm_job_info_t;
typedef struct { MESSAGE_MEMBERS(MEMBER) } job_info_msg_t;
typedef struct { NODE_MEMBERS(MEMBER) } node_info_t;
typedef struct { NODES_MEMBERS(MEMBER) } node_info_msg_t;
typedef struct { PARTITION_MEMBERS(MEMBER) } partition_info_t;
typedef struct { PARTITIONS_MEMBERS(MEMBER) } partition_info_msg_t;
typedef struct { CONFIGURATION_MEMBERS(MEMBER) } slurm_conf_t;
typedef struct { STEP_ID_MEMBERS(MEMBER) } slurm_step_id_t;
typedef struct { LAYOUT_MEMBERS(MEMBER) } slurm_step_layout_t;

FUNCTIONS(DECLARED)

#endif
