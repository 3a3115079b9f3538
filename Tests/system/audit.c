/* An auditor of the dynamic linker (rtld-audit(7)), for LD_AUDIT: writes a line for each function of
 * another library that spunnel.so calls, when it is called first, to the file that SPUNNEL_AUDIT names.
 * The plugin is bound lazily, so what it never calls is never written. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Kept from the start: slurmstepd writes its title over its environment. */
static char log_path[256];

static void note(const char *what)
{
	char name[32] = "?", line[256];
	int file, length;
	ssize_t count;

	if (log_path[0] == '\0')
		return;
	/* The name as the kernel has it: slurmstepd writes over its arguments. */
	file = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
	count = read(file, name, sizeof name - 1);
	close(file);
	name[count > 0 ? count - 1 : 0] = '\0';
	length = snprintf(line, sizeof line, "%s %d %s\n", name, (int)getpid(), what);
	file = open(log_path, O_WRONLY | O_APPEND | O_CLOEXEC);
	count = write(file, line, (size_t)length);
	close(file);
}

unsigned int la_version(unsigned int version)
{
	const char *path = getenv("SPUNNEL_AUDIT");

	if (path != NULL)
		(void)snprintf(log_path, sizeof log_path, "%s", path);
	return version < LAV_CURRENT ? version : LAV_CURRENT;
}

/* The cookie says whether an object is the plugin. */
unsigned int la_objopen(struct link_map *object, Lmid_t namespace, uintptr_t *cookie)
{
	const char *name = strrchr(object->l_name, '/');

	(void)namespace;
	*cookie = name != NULL && strcmp(name, "/spunnel.so") == 0;
	if (*cookie)
		note("loaded");
	return LA_FLG_BINDFROM | LA_FLG_BINDTO;
}

uintptr_t la_symbind64(Elf64_Sym *symbol, unsigned int index, uintptr_t *from, uintptr_t *to,
		       unsigned int *flags, const char *name)
{
	(void)index;
	(void)to;
	if (*from)
		note(name);
	*flags |= LA_SYMB_NOPLTENTER | LA_SYMB_NOPLTEXIT;
	return symbol->st_value;
}
