/* spunnel-jobs nodes: the cluster's nodes, one record for each. */
#include <errno.h>
#include <stdio.h>

#include "../CSlurm/slurm-versions.h"
#include "record.h"

static const node_info_t *node_of(const void *record)
{
	return record;
}

#define COLUMN(name, ...) \
	static void write_##name(const void *record) \
	{ \
		const node_info_t *node = node_of(record); \
		__VA_ARGS__; \
	}
#define TEXT(name, member) COLUMN(name, put_text(node->member))

static uint16_t used_cpus(const node_info_t *node)
{
	uint16_t cpus;
	uint64_t memory;

	node_use(node, &cpus, &memory);
	return cpus;
}

static uint64_t used_memory(const node_info_t *node)
{
	uint16_t cpus;
	uint64_t memory;

	node_use(node, &cpus, &memory);
	return memory;
}

static const char *state_word(const node_info_t *node)
{
	switch (node->node_state & NODE_STATE_BASE) {
	case NODE_STATE_DOWN: return "DOWN";
	case NODE_STATE_IDLE: return "IDLE";
	/* slurmctld does not report MIXED here: its clients must check whether a part is idle. */
	case NODE_STATE_ALLOCATED: return used_cpus(node) < node->cpus ? "MIXED" : "ALLOCATED";
	case NODE_STATE_ERROR: return "ERROR";
	case NODE_STATE_MIXED: return "MIXED";
	case NODE_STATE_FUTURE: return "FUTURE";
	default: return "UNKNOWN";
	}
}

static void put_flags(uint32_t state)
{
	static const struct {
		uint32_t bit;
		const char *word;
	} flags[] = {
		{NODE_STATE_DRAIN, "DRAIN"},           {NODE_STATE_FAIL, "FAIL"},
		{NODE_STATE_NO_RESPOND, "NO_RESPOND"}, {NODE_STATE_COMPLETING, "COMPLETING"},
		{NODE_STATE_MAINT, "MAINT"},           {NODE_STATE_RES, "RESERVED"},
		{1 << 12, "POWERED_DOWN"},             {1 << 14, "POWERING_UP"},
		{1 << 18, "POWERING_DOWN"},
	};
	const char *gap = "";

	for (size_t index = 0; index < sizeof flags / sizeof *flags; index++) {
		if ((state & flags[index].bit) == 0)
			continue;
		put_text(gap);
		put_text(flags[index].word);
		gap = ",";
	}
}

/* Whether a job can start on the node. */
static int is_usable(uint32_t state)
{
	uint32_t base = state & NODE_STATE_BASE;

	return base != NODE_STATE_DOWN && base != NODE_STATE_ERROR && base != NODE_STATE_FUTURE &&
	       base != NODE_STATE_UNKNOWN &&
	       (state & (NODE_STATE_DRAIN | NODE_STATE_FAIL | NODE_STATE_NO_RESPOND)) == 0;
}

TEXT(name, name)
TEXT(address, node_addr)
TEXT(host, node_hostname)
COLUMN(state, put_text(state_word(node)))
COLUMN(flags, put_flags(node->node_state))
COLUMN(usable, put_number((uint64_t)is_usable(node->node_state)))
COLUMN(cpus, put_number(node->cpus))
COLUMN(cpus_used, put_number(used_cpus(node)))
COLUMN(threads_per_core, put_number(node->threads))
COLUMN(memory, put_number(node->real_memory))
COLUMN(memory_used, put_number(used_memory(node)))
COLUMN(memory_free, put_limit(node->free_mem, NO_VAL64))
COLUMN(load, put_limit(node->cpu_load, NO_VAL))
TEXT(features, features)
TEXT(features_active, features_act)
TEXT(gres, gres)
TEXT(gres_used, gres_used)
TEXT(reason, reason)
COLUMN(weight, put_number(node->weight))

#define ROW(name) {#name, write_##name}

static const struct column columns[] = {
	ROW(name), ROW(address), ROW(host), ROW(state), ROW(flags), ROW(usable),
	ROW(cpus), ROW(cpus_used), ROW(threads_per_core), ROW(memory), ROW(memory_used),
	ROW(memory_free), ROW(load), ROW(features), ROW(features_active), ROW(gres),
	ROW(gres_used), ROW(reason), ROW(weight), {0},
};

enum ending list_nodes(const char *chosen)
{
	node_info_msg_t *message = NULL;

	errno = 0;
	if (slurm_load_node(0, &message, SHOW_ALL | SHOW_DETAIL | SHOW_LOCAL) != 0)
		return complain_of_request("nodes");
	if (records_begin("nodes", columns, chosen) != 0)
		return ENDING_FAILED;
	for (uint32_t index = 0; index < message->record_count; index++) {
		const node_info_t *node = &message->node_array[index];

		/* The array has gaps for nodes that no longer exist. */
		if (node->name != NULL)
			records_add(node);
	}
	return records_end();
}
