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
	C(SHOW_DETAIL, 0x2) \
	C(SHOW_LOCAL, 0x10) \
	C(NO_VAL16, 0xfffe) \
	C(PARTITION_UP, 0x3) \
	C(PARTITION_DOWN, 0x1) \
	C(PARTITION_DRAIN, 0x2) \
	C(PART_FLAG_DEFAULT, 0x1) \
	C(NODE_STATE_BASE, 0xf) \
	C(NODE_STATE_RES, 1 << 5) \
	C(NODE_STATE_DRAIN, 1 << 9) \
	C(NODE_STATE_COMPLETING, 1 << 10) \
	C(NODE_STATE_NO_RESPOND, 1 << 11) \
	C(NODE_STATE_FAIL, 1 << 13) \
	C(NODE_STATE_MAINT, 1 << 15) \
	C(WAIT_NO_REASON, 0) \
	C(JOB_STATE_BASE, 0xff) \
	C(JOB_REQUEUE, 1 << 10) \
	C(JOB_REQUEUE_HOLD, 1 << 11) \
	C(JOB_SPECIAL_EXIT, 1 << 12) \
	C(JOB_CONFIGURING, 1 << 14) \
	C(JOB_COMPLETING, 1 << 15) \
	C(JOB_POWER_UP_NODE, 1 << 18) \
	C(JOB_REVOKED, 1 << 19)

/* A macro, which tells a release that has it. The same bit meant a cron job until 25.05. */
#if SINCE(25, 11)
#define EXPEDITING (1 << 24)
#endif

/* Likewise. */
#if SINCE(24, 5)
#define STEPMGR (1ULL << 41)
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

#define NODE_STATES(C) \
	C(NODE_STATE_UNKNOWN, 0) \
	C(NODE_STATE_DOWN, 1) \
	C(NODE_STATE_IDLE, 2) \
	C(NODE_STATE_ALLOCATED, 3) \
	C(NODE_STATE_ERROR, 4) \
	C(NODE_STATE_MIXED, 5) \
	C(NODE_STATE_FUTURE, 6)

/* Wider than an int, and so no enumerators; macros there as well. */
#define WIDE_CONSTANTS(C) \
	C(NO_VAL64, 0xfffffffffffffffe) \
	C(MEM_PER_CPU, 0x8000000000000000) \
	C(NICE_OFFSET, 0x80000000)

/* How much of a node is in use is asked of a plugin until 24.11. */
#if SINCE(25, 5)
#define NODE_DATA(C)
#else
#define NODE_DATA(C) C(SELECT_NODEDATA_SUBCNT, 2) C(SELECT_NODEDATA_MEM_ALLOC, 8)
#endif

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
	M(char *, account) \
	M(char *, alloc_node) \
	M(uint32_t, alloc_sid) \
	M(uint32_t, array_job_id) \
	M(uint32_t, array_max_tasks) \
	M(uint32_t, array_task_id) \
	M(char *, array_task_str) \
	M(uint16_t, batch_flag) \
	M(char *, batch_host) \
	M(uint64_t, bitflags) \
	M(char *, command) \
	M(char *, comment) \
	M(uint16_t, cpus_per_task) \
	M(char *, dependency) \
	M(uint32_t, derived_ec) \
	M(time_t, eligible_time) \
	M(time_t, end_time) \
	M(char *, exc_nodes) \
	M(uint32_t, exit_code) \
	M(char *, features) \
	M(uint32_t, het_job_id) \
	M(uint32_t, het_job_offset) \
	M(uint32_t, job_id) \
	M(uint32_t, job_state) \
	M(char *, licenses) \
	M(char *, name) \
	M(uint32_t, nice) \
	M(char *, nodes) \
	M(uint16_t, ntasks_per_node) \
	M(uint32_t, num_cpus) \
	M(uint32_t, num_nodes) \
	M(uint32_t, num_tasks) \
	M(char *, partition) \
	M(uint64_t, pn_min_memory) \
	M(uint32_t, priority) \
	M(char *, qos) \
	M(char *, req_nodes) \
	M(uint16_t, restart_cnt) \
	M(char *, resv_name) \
	M(char *, sched_nodes) \
	M(time_t, start_time) \
	M(char *, state_desc) \
	M(REASON_TYPE, state_reason) \
	M(char *, std_err) \
	M(char *, std_in) \
	M(char *, std_out) \
	M(time_t, submit_time) \
	M(uint32_t, time_limit) \
	M(char *, tres_alloc_str) \
	M(char *, tres_per_node) \
	M(char *, tres_req_str) \
	M(uint32_t, user_id) \
	M(char *, work_dir)

#if SINCE(25, 5)
#define NODE_USE_MEMBERS(M) M(uint16_t, alloc_cpus) M(uint64_t, alloc_memory)
#else
#define NODE_USE_MEMBERS(M) M(dynamic_plugin_data_t *, select_nodeinfo)
#endif

#define NODE_MEMBERS(M) \
	M(char *, features) \
	M(char *, features_act) \
	M(char *, gres) \
	M(char *, gres_used) \
	M(uint32_t, cpu_load) \
	M(uint16_t, cpus) \
	M(uint64_t, free_mem) \
	M(char *, name) \
	M(char *, node_addr) \
	M(char *, node_hostname) \
	M(uint32_t, node_state) \
	M(uint64_t, real_memory) \
	M(char *, reason) \
	M(uint16_t, threads) \
	M(uint32_t, weight) \
	NODE_USE_MEMBERS(M)

#if SINCE(24, 5)
#define PARTITION_FLAGS_TYPE uint32_t
#else
#define PARTITION_FLAGS_TYPE uint16_t
#endif

#define PARTITION_MEMBERS(M) \
	M(char *, allow_accounts) \
	M(char *, allow_groups) \
	M(char *, allow_qos) \
	M(uint64_t, def_mem_per_cpu) \
	M(uint32_t, default_time) \
	M(char *, deny_accounts) \
	M(PARTITION_FLAGS_TYPE, flags) \
	M(uint32_t, max_cpus_per_node) \
	M(uint64_t, max_mem_per_cpu) \
	M(uint32_t, max_nodes) \
	M(uint32_t, max_time) \
	M(uint32_t, min_nodes) \
	M(char *, name) \
	M(char *, nodes) \
	M(uint16_t, priority_tier) \
	M(uint16_t, state_up) \
	M(uint32_t, total_cpus) \
	M(uint32_t, total_nodes)

#define CONFIGURATION_MEMBERS(M) \
	M(char *, accounting_storage_type) \
	M(char *, cluster_name) \
	M(char *, job_acct_gather_type) \
	M(uint16_t, kill_wait) \
	M(uint32_t, max_array_sz) \
	M(uint32_t, max_job_cnt) \
	M(uint32_t, min_job_age) \
	M(char *, plugstack) \
	M(char *, priority_type) \
	M(char *, slurm_conf)

#define NODES_MEMBERS(M) \
	M(uint32_t, record_count) \
	M(node_info_t *, node_array)

#define PARTITIONS_MEMBERS(M) \
	M(uint32_t, record_count) \
	M(partition_info_t *, partition_array)

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

#if SINCE(25, 5)
#define NODE_FUNCTIONS(F)
#else
#define NODE_FUNCTIONS(F) \
	F(int, slurm_get_select_nodeinfo, \
	  (dynamic_plugin_data_t *, enum select_nodedata_type, enum node_states, void *))
#endif

#define ERROR_FUNCTIONS(F) F(char *, slurm_strerror, (int))

#define FUNCTIONS(F) \
	INIT(F) \
	F(int, slurm_load_job, (job_info_msg_t **, LOAD_JOB_KEY, uint16_t)) \
	F(int, slurm_load_job_user, (job_info_msg_t **, uint32_t, uint16_t)) \
	F(int, slurm_load_jobs, (time_t, job_info_msg_t **, uint16_t)) \
	F(int, slurm_load_node, (time_t, node_info_msg_t **, uint16_t)) \
	F(int, slurm_load_partitions, (time_t, partition_info_msg_t **, uint16_t)) \
	F(int, slurm_load_ctl_conf, (time_t, slurm_conf_t **)) \
	NODE_FUNCTIONS(F) \
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
