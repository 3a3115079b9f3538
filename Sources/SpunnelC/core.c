/* Loads the core: one dlopen(3) of one file that lies beside the plugin. */
#define _GNU_SOURCE
#include "shim.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct core core;
static int is_loaded;

const char *core_directory(void)
{
	static char directory[PATH_MAX];
	Dl_info self;
	char *file;
	const char *path;

	if (directory[0] != '\0')
		return directory;
	if (dladdr(&core, &self) == 0 || self.dli_fname == NULL || strrchr(self.dli_fname, '/') == NULL)
		return NULL;
	/* Slurm's plugin folder may have only a symbolic link to the plugin. */
	file = realpath(self.dli_fname, NULL);
	path = file != NULL ? file : self.dli_fname;
	(void)snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(path, '/') - path), path);
	free(file);
	return directory;
}

const struct core *core_loaded(void)
{
	return is_loaded ? &core : NULL;
}

static const struct core *refuse(const struct spunnel_host *host, const char *reason)
{
	char line[PATH_MAX + 256];

	(void)snprintf(line, sizeof line, "spunnel: load the core: %s: is the installation complete?",
		       reason != NULL ? reason : "unknown reason");
	host->say(SPUNNEL_ERROR, line);
	return NULL;
}

const struct core *core_load(const struct spunnel_host *host)
{
	const struct {
		const char *name;
		void **address;
	} functions[] = {
		{"spunnel_check", (void **)&core.check},   {"spunnel_claim", (void **)&core.claim},
		{"spunnel_open", (void **)&core.open},     {"spunnel_follow", (void **)&core.follow},
		{"spunnel_close", (void **)&core.close},
	};
	char path[PATH_MAX + sizeof "/libSpunnel.so"];
	void *library;

	if (is_loaded)
		return &core;
	/* A relative path would load a file from srun's working directory, so the load is refused. */
	if (core_directory() == NULL)
		return refuse(host, "the folder of the plugin is unknown");
	(void)snprintf(path, sizeof path, "%s/libSpunnel.so", core_directory());
	/* RTLD_NODELETE: a Swift runtime cannot be unloaded. RTLD_LOCAL: the host must not see its
	 * symbols. */
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (library == NULL)
		return refuse(host, dlerror());
	for (size_t index = 0; index < sizeof functions / sizeof *functions; index++) {
		*functions[index].address = dlsym(library, functions[index].name);
		/* dlerror(3) keeps only the last message, which names the function. */
		if (*functions[index].address == NULL)
			return refuse(host, dlerror());
	}
	is_loaded = 1;
	return &core;
}
