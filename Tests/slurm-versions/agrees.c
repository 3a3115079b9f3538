/* Compiles when declarations.h says of the installed Slurm what its headers say: a function that is
 * declared again must have the same type, a member and a number are compared. */
#include <stdint.h>
#include <time.h>

#include <slurm/slurm.h>
#include <slurm/slurm_errno.h>
#include <slurm/spank.h>

#include "declarations.h"

#define IS_TYPE(left, right) __builtin_types_compatible_p(left, right)

#define NUMBER_AGREES(name, value) _Static_assert((name) == (value), #name);
CONSTANTS(NUMBER_AGREES)
STATES(NUMBER_AGREES)
NODE_STATES(NUMBER_AGREES)
WIDE_CONSTANTS(NUMBER_AGREES)
NODE_DATA(NUMBER_AGREES)
ERRORS(NUMBER_AGREES)
CONTEXTS(NUMBER_AGREES)
ITEMS(NUMBER_AGREES)
NUMBER_AGREES(ESPANK_SUCCESS, 0)

#if defined STEPMGR != defined STEPMGR_ENABLED
#error STEPMGR_ENABLED
#elif defined STEPMGR
NUMBER_AGREES(STEPMGR_ENABLED, STEPMGR)
#endif

#if defined EXPEDITING != defined JOB_EXPEDITING
#error JOB_EXPEDITING
#elif defined EXPEDITING
NUMBER_AGREES(JOB_EXPEDITING, EXPEDITING)
#endif

#define MEMBER_AGREES(structure, type, name) \
	_Static_assert(IS_TYPE(__typeof__(((structure *)0)->name), type), #structure "." #name);
#define JOB_AGREES(type, name) MEMBER_AGREES(slurm_job_info_t, type, name)
#define MESSAGE_AGREES(type, name) MEMBER_AGREES(job_info_msg_t, type, name)
#define NODE_AGREES(type, name) MEMBER_AGREES(node_info_t, type, name)
#define NODES_AGREES(type, name) MEMBER_AGREES(node_info_msg_t, type, name)
#define PARTITION_AGREES(type, name) MEMBER_AGREES(partition_info_t, type, name)
#define PARTITIONS_AGREES(type, name) MEMBER_AGREES(partition_info_msg_t, type, name)
#define CONFIGURATION_AGREES(type, name) MEMBER_AGREES(slurm_conf_t, type, name)
#define STEP_ID_AGREES(type, name) MEMBER_AGREES(slurm_step_id_t, type, name)
#define LAYOUT_AGREES(type, name) MEMBER_AGREES(slurm_step_layout_t, type, name)
#define OPTION_AGREES(type, name) MEMBER_AGREES(struct spank_option, type, name)
JOB_MEMBERS(JOB_AGREES)
MESSAGE_MEMBERS(MESSAGE_AGREES)
NODE_MEMBERS(NODE_AGREES)
NODES_MEMBERS(NODES_AGREES)
PARTITION_MEMBERS(PARTITION_AGREES)
PARTITIONS_MEMBERS(PARTITIONS_AGREES)
CONFIGURATION_MEMBERS(CONFIGURATION_AGREES)
STEP_ID_MEMBERS(STEP_ID_AGREES)
LAYOUT_MEMBERS(LAYOUT_AGREES)
OPTION_MEMBERS(OPTION_AGREES)

_Static_assert(IS_TYPE(hostlist_t, HOST_LIST_TYPE), "hostlist_t");
_Static_assert(IS_TYPE(spank_opt_cb_f, CALLBACK_TYPE), "spank_opt_cb_f");
_Static_assert(IS_TYPE(spank_t, struct spank_handle *), "spank_t");
_Static_assert(IS_TYPE(spank_context_t, enum spank_context), "spank_context_t");
_Static_assert(IS_TYPE(spank_item_t, enum spank_item), "spank_item_t");
#if SINCE(21, 8)
_Static_assert(IS_TYPE(spank_err_t, slurm_err_t), "spank_err_t");
#else
_Static_assert(IS_TYPE(spank_err_t, enum spank_err), "spank_err_t");
#endif

FUNCTIONS(DECLARED)
ERROR_FUNCTIONS(DECLARED)
SPANK_FUNCTIONS(DECLARED)

SPANK_PLUGIN(agrees, 1)
_Static_assert(sizeof plugin_name == sizeof "agrees", "SPANK_PLUGIN");
_Static_assert(sizeof plugin_type == sizeof "spank", "SPANK_PLUGIN");
_Static_assert(IS_TYPE(__typeof__(plugin_version), const unsigned int), "SPANK_PLUGIN");
