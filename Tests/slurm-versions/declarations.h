/* All that Spunnel uses of Slurm's headers, release by release, as lists: include/slurm/ makes
 * declarations of them to compile against, and agrees.c compares them with the installed headers.
 *
 * What is not listed does not compile against them, so a new use of Slurm begins here. Written from
 * the headers of the tags slurm-20-11-0-1 to slurm-26-05-3-1. */
#ifndef DECLARATIONS_H
#define DECLARATIONS_H

#define SINCE(major, minor) (SLURM_VERSION_NUMBER >= (((major) << 16) + ((minor) << 8)))

/* --- Numbers: name, value --- */

#define CONSTANTS(C) \
	C(NO_VAL, 0xfffffffe) \
	C(SLURM_MAX_NORMAL_STEP_ID, 0xfffffff0) \
	C(SLURM_INTERACTIVE_STEP, 0xfffffffa) \
	C(SLURM_BATCH_SCRIPT, 0xfffffffb) \
	C(SLURM_EXTERN_CONT, 0xfffffffc) \
	C(SHOW_ALL, 0x1) \
	C(SHOW_LOCAL, 0x10) \
	C(WAIT_NO_REASON, 0) \
	C(JOB_STATE_BASE, 0xff) \
	C(JOB_REQUEUE, 1 << 10) \
	C(JOB_REQUEUE_HOLD, 1 << 11) \
	C(JOB_SPECIAL_EXIT, 1 << 12) \
	C(JOB_CONFIGURING, 1 << 14) \
	C(JOB_POWER_UP_NODE, 1 << 18) \
	C(JOB_REVOKED, 1 << 19)

/* A macro, which tells a release that has it. The same bit meant a cron job until 25.05. */
#if SINCE(25, 11)
#define EXPEDITING (1 << 24)
#endif

#define STATES(C) \
	C(JOB_PENDING, 0) \
	C(JOB_RUNNING, 1) \
	C(JOB_SUSPENDED, 2) \
	C(JOB_COMPLETE, 3) \
	C(JOB_CANCELLED, 4) \
	C(JOB_FAILED, 5) \
	C(JOB_TIMEOUT, 6) \
	C(JOB_NODE_FAIL, 7) \
	C(JOB_PREEMPTED, 8) \
	C(JOB_BOOT_FAIL, 9) \
	C(JOB_DEADLINE, 10) \
	C(JOB_OOM, 11)

#define ERRORS(C) \
	C(ESLURM_INVALID_JOB_ID, 2017) \
	C(ESLURM_ALREADY_DONE, 2021) \
	C(ESLURM_JOB_PENDING, 2024)

#define CONTEXTS(C) C(S_CTX_LOCAL, 1) C(S_CTX_ALLOCATOR, 3)

#define ITEMS(C) C(S_JOB_ID, 2) C(S_JOB_STEPID, 3)

/* --- Structures: their members' type and name --- */

#if SINCE(23, 2)
#define REASON_TYPE uint32_t
#else
#define REASON_TYPE uint16_t
#endif

#define JOB_MEMBERS(M) \
	M(char *, alloc_node) \
	M(uint32_t, alloc_sid) \
	M(uint32_t, array_job_id) \
	M(uint32_t, array_task_id) \
	M(char *, array_task_str) \
	M(char *, batch_host) \
	M(uint32_t, het_job_id) \
	M(uint32_t, het_job_offset) \
	M(uint32_t, job_id) \
	M(uint32_t, job_state) \
	M(char *, nodes) \
	M(char *, state_desc) \
	M(REASON_TYPE, state_reason) \
	M(time_t, submit_time) \
	M(uint32_t, user_id)

#define MESSAGE_MEMBERS(M) \
	M(time_t, last_update) \
	M(uint32_t, record_count) \
	M(slurm_job_info_t *, job_array)

#if SINCE(24, 11)
#define SLUID(M) M(uint64_t, sluid)
#else
#define SLUID(M)
#endif

#define STEP_ID_MEMBERS(M) \
	SLUID(M) \
	M(uint32_t, job_id) \
	M(uint32_t, step_het_comp) \
	M(uint32_t, step_id)

#define LAYOUT_MEMBERS(M) M(char *, node_list)

#define OPTION_MEMBERS(M) \
	M(char *, name) \
	M(char *, arginfo) \
	M(char *, usage) \
	M(int, has_arg) \
	M(int, val) \
	M(spank_opt_cb_f, cb)

/* --- Types: name, what it stands for --- */

#if SINCE(23, 11)
#define HOST_LIST_TYPE struct hostlist
#define HOST_LIST hostlist_t *
#else
#define HOST_LIST_TYPE struct hostlist *
#define HOST_LIST hostlist_t
#endif

#define CALLBACK_TYPE int (*)(int, const char *, int)

/* --- Functions: what they return, name, parameters --- */

#if SINCE(26, 5)
#define LOAD_JOB_KEY slurm_step_id_t
#else
#define LOAD_JOB_KEY uint32_t
#endif

/* 20.11.9 has it, 20.11.0 has not. */
#if SINCE(21, 8)
#define INIT(F) F(void, slurm_init, (const char *))
#else
#define INIT(F)
#endif

#define ERROR_FUNCTIONS(F) F(char *, slurm_strerror, (int))

#define FUNCTIONS(F) \
	INIT(F) \
	F(int, slurm_load_job, (job_info_msg_t **, LOAD_JOB_KEY, uint16_t)) \
	F(int, slurm_load_job_user, (job_info_msg_t **, uint32_t, uint16_t)) \
	F(void, slurm_free_job_info_msg, (job_info_msg_t *)) \
	F(slurm_step_layout_t *, slurm_job_step_layout_get, (slurm_step_id_t *)) \
	F(void, slurm_job_step_layout_free, (slurm_step_layout_t *)) \
	F(HOST_LIST, slurm_hostlist_create, (const char *)) \
	F(char *, slurm_hostlist_shift, (HOST_LIST)) \
	F(void, slurm_hostlist_destroy, (HOST_LIST))

#define ENTRY(F, name) F(int, name, (spank_t, int, char **))

#define SPANK_FUNCTIONS(F) \
	F(spank_context_t, spank_context, (void)) \
	F(spank_err_t, spank_option_register, (spank_t, struct spank_option *)) \
	F(spank_err_t, spank_get_item, (spank_t, spank_item_t, ...)) \
	F(void, slurm_error, (const char *, ...)) \
	F(void, slurm_spank_log, (const char *, ...)) \
	ENTRY(F, slurm_spank_init) \
	ENTRY(F, slurm_spank_init_post_opt) \
	ENTRY(F, slurm_spank_local_user_init) \
	ENTRY(F, slurm_spank_exit)

#define DECLARED(result, name, parameters) extern result name parameters;

#endif
