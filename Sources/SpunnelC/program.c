/* Tells which of Slurm's programs has loaded the plugin. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"

/* Recognises sbatch, salloc and scrontab by their symbols. They export their symbols for plugins,
 * and each has its own option structure. A wrapper may have renamed the program, so the name is
 * used only if the symbols do not help. */
enum allocator allocator_program(void)
{
	const char *name = program_invocation_short_name;

	if (dlsym(RTLD_DEFAULT, "sbopt") != NULL)
		return ALLOCATOR_SBATCH;
	if (dlsym(RTLD_DEFAULT, "saopt") != NULL)
		return ALLOCATOR_SALLOC;
	if (dlsym(RTLD_DEFAULT, "scopt") != NULL)
		return ALLOCATOR_SCRONTAB;
	if (strstr(name, "sbatch") != NULL)
		return ALLOCATOR_SBATCH;
	return strstr(name, "salloc") != NULL ? ALLOCATOR_SALLOC : ALLOCATOR_UNKNOWN;
}

bool program_has_option(const char *option)
{
	FILE *line = fopen("/proc/self/cmdline", "re");
	char *word = NULL;
	size_t size = 0;
	bool found = false;

	while (line != NULL && !found && getdelim(&word, &size, '\0', line) > 0)
		found = strlen(word) > strlen("--no-") && strncmp(option, word, strlen(word)) == 0;
	free(word);
	if (line != NULL)
		(void)fclose(line);
	return found;
}

/* libslurm exports slurm_conf_get_aliases, but slurm.h does not declare it (read_config.h; the same
 * from 20.11 to 26.05). */
bool program_runs_on_node(void)
{
	static int known = -1;
	char *(*nodes_of)(const char *host);
	char name[256] = "";

	if (known >= 0)
		return known;
	*(void **)&nodes_of = dlsym(RTLD_DEFAULT, "slurm_conf_get_aliases");
	(void)gethostname(name, sizeof name - 1);
	known = nodes_of != NULL && (nodes_of(name) != NULL || nodes_of("localhost") != NULL);
	if (nodes_of != NULL && !known && strchr(name, '.') != NULL) {
		name[strcspn(name, ".")] = '\0';
		known = nodes_of(name) != NULL;
	}
	return known;
}

/* LOG_LEVEL_INFO of Slurm's log.h, which is not installed. */
#define LEVEL_INFO 3

int program_is_quiet(void)
{
	int (*level)(void);

	*(void **)&level = dlsym(RTLD_DEFAULT, "get_log_level");
	return level != NULL && level() < LEVEL_INFO;
}
