/* spunnel-jobs partitions: the cluster's partitions, one record for each. */
#include <errno.h>

#include "../CSlurm/slurm-versions.h"
#include "record.h"

static const partition_info_t *partition_of(const void *record)
{
	return record;
}

#define COLUMN(name, ...) \
	static void write_##name(const void *record) \
	{ \
		const partition_info_t *partition = partition_of(record); \
		__VA_ARGS__; \
	}
#define TEXT(name, member) COLUMN(name, put_text(partition->member))
#define LIMIT(name, member, none) COLUMN(name, put_limit(partition->member, none))

static const char *state_word(uint16_t state)
{
	switch (state) {
	case PARTITION_UP: return "UP";
	case PARTITION_DOWN: return "DOWN";
	case PARTITION_DRAIN: return "DRAIN";
	default: return "INACTIVE";
	}
}

static void put_memory(uint64_t memory, int is_per_cpu)
{
	if (memory != 0 && memory != NO_VAL64 && ((memory & MEM_PER_CPU) != 0) == is_per_cpu &&
	    memory != NO_VAL64 + 1)
		put_number(memory & ~MEM_PER_CPU);
}

TEXT(name, name)
COLUMN(state, put_text(state_word(partition->state_up)))
COLUMN(default, put_number((partition->flags & PART_FLAG_DEFAULT) != 0))
TEXT(nodes, nodes)
LIMIT(node_count, total_nodes, NO_VAL)
LIMIT(cpus, total_cpus, NO_VAL)
LIMIT(time_limit, max_time, NO_VAL)
LIMIT(time_default, default_time, NO_VAL)
LIMIT(most_nodes, max_nodes, NO_VAL)
LIMIT(least_nodes, min_nodes, NO_VAL)
LIMIT(most_cpus_per_node, max_cpus_per_node, NO_VAL)
COLUMN(default_memory_per_node, put_memory(partition->def_mem_per_cpu, 0))
COLUMN(default_memory_per_cpu, put_memory(partition->def_mem_per_cpu, 1))
COLUMN(most_memory_per_node, put_memory(partition->max_mem_per_cpu, 0))
COLUMN(most_memory_per_cpu, put_memory(partition->max_mem_per_cpu, 1))
TEXT(accounts, allow_accounts)
TEXT(accounts_denied, deny_accounts)
TEXT(groups, allow_groups)
TEXT(qos, allow_qos)
COLUMN(tier, put_number(partition->priority_tier))

#define ROW(name) {#name, write_##name}

static const struct column columns[] = {
	ROW(name), ROW(state), ROW(default), ROW(nodes), ROW(node_count), ROW(cpus),
	ROW(time_limit), ROW(time_default), ROW(most_nodes), ROW(least_nodes),
	ROW(most_cpus_per_node), ROW(default_memory_per_node), ROW(default_memory_per_cpu),
	ROW(most_memory_per_node), ROW(most_memory_per_cpu), ROW(accounts),
	ROW(accounts_denied), ROW(groups), ROW(qos), ROW(tier), {0},
};

enum ending list_partitions(const char *chosen)
{
	partition_info_msg_t *message = NULL;

	errno = 0;
	/* Without SHOW_ALL, Slurm returns the partitions that this user may see and use. */
	if (slurm_load_partitions(0, &message, SHOW_LOCAL) != 0)
		return complain_of_request("partitions");
	if (records_begin("partitions", columns, chosen) != 0)
		return ENDING_FAILED;
	for (uint32_t index = 0; index < message->record_count; index++)
		records_add(&message->partition_array[index]);
	return records_end();
}
