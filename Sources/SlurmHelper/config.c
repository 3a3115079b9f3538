/* spunnel-jobs config: the place and the content of Slurm's configuration, as Slurm's library
 * finds them, in one record. slurmctld is not asked. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>

#include "../CSlurm/slurm-versions.h"
#include "record.h"

static const slurm_conf_t *configuration_of(const void *record)
{
	return record;
}

#define COLUMN(name, ...) \
	static void write_##name(const void *record) \
	{ \
		const slurm_conf_t *configuration = configuration_of(record); \
		(void)configuration; \
		__VA_ARGS__; \
	}
#define TEXT(name, member) COLUMN(name, put_text(configuration->member))
#define NUMBER(name, member) COLUMN(name, put_number(configuration->member))

static void put_release(void)
{
	char text[32];

	(void)snprintf(text, sizeof text, "%d.%02d", (SLURM_VERSION_NUMBER >> 16) & 0xff,
		       (SLURM_VERSION_NUMBER >> 8) & 0xff);
	put_text(text);
}

TEXT(path, slurm_conf)
TEXT(cluster, cluster_name)
TEXT(plugstack, plugstack)
TEXT(accounting, accounting_storage_type)
TEXT(gathering, job_acct_gather_type)
TEXT(priorities, priority_type)
NUMBER(most_jobs, max_job_cnt)
NUMBER(array_size, max_array_sz)
NUMBER(ended_jobs_age, min_job_age)
NUMBER(kill_wait, kill_wait)
COLUMN(built_for, put_release())

#define ROW(name) {#name, write_##name}

static const struct column columns[] = {
	ROW(path), ROW(cluster), ROW(plugstack), ROW(accounting), ROW(gathering),
	ROW(priorities), ROW(most_jobs), ROW(array_size), ROW(ended_jobs_age),
	ROW(kill_wait), ROW(built_for), {0},
};

/* Finds the library's own configuration. The library exports it without a declaration. If a
 * release lacks it, slurmctld is asked for its configuration. */
static const slurm_conf_t *find_configuration(void)
{
	const slurm_conf_t *own = dlsym(RTLD_DEFAULT, "slurm_conf");
	slurm_conf_t *told = NULL;

	if (own != NULL && own->slurm_conf != NULL)
		return own;
	return slurm_load_ctl_conf(0, &told) == 0 ? told : NULL;
}

enum ending list_config(const char *chosen)
{
	const slurm_conf_t *configuration = find_configuration();

	if (configuration == NULL)
		return complain_of_request("the configuration");
	if (records_begin("config", columns, chosen) != 0)
		return ENDING_FAILED;
	records_add(configuration);
	return records_end();
}
