/* How the plugin reaches the core: one dlopen(3), of one file, beside the plugin itself. */
#define _GNU_SOURCE
#include "shim.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static struct core core;
static int is_loaded;

const char *core_directory(void)
{
	static char directory[PATH_MAX];
	Dl_info self;
	const char *end;

	if (directory[0] != '\0')
		return directory;
	if (dladdr(&core, &self) == 0 || self.dli_fname == NULL ||
	    (end = strrchr(self.dli_fname, '/')) == NULL)
		return NULL;
	(void)snprintf(directory, sizeof directory, "%.*s", (int)(end - self.dli_fname), self.dli_fname);
	return directory;
}

const struct core *core_loaded(void)
{
	return is_loaded ? &core : NULL;
}

static const struct core *refuse(const struct spunnel_host *host, const char *reason)
{
	char line[PATH_MAX + 256];

	(void)snprintf(line, sizeof line, "spunnel: load the core: %s: is Spunnel installed as a whole?",
		       reason != NULL ? reason : "unknown reason");
	host->say(SPUNNEL_ERROR, line);
	return NULL;
}

const struct core *core_load(const struct spunnel_host *host)
{
	char path[PATH_MAX + sizeof "/libSpunnel.so"];
	void *library;

	if (is_loaded)
		return &core;
	/* Never from the directory that srun happens to run in. */
	if (core_directory() == NULL)
		return refuse(host, "nobody knows where the plugin lies");
	(void)snprintf(path, sizeof path, "%s/libSpunnel.so", core_directory());
	/* NODELETE: a Swift runtime cannot be taken out of a process again. LOCAL: its symbols are
	 * nobody else's business. */
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (library == NULL)
		return refuse(host, dlerror());
	*(void **)&core.check = dlsym(library, "spunnel_check");
	*(void **)&core.claim = dlsym(library, "spunnel_claim");
	*(void **)&core.open = dlsym(library, "spunnel_open");
	*(void **)&core.follow = dlsym(library, "spunnel_follow");
	*(void **)&core.close = dlsym(library, "spunnel_close");
	if (core.check == NULL || core.claim == NULL || core.open == NULL || core.follow == NULL ||
	    core.close == NULL)
		return refuse(host, dlerror());
	is_loaded = 1;
	return &core;
}
