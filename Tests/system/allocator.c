/* Stands for an unknown program in whose allocator context Slurm loads the plugin:
 * allocator PLUGIN SPEC hands it one --tunnel. Exit status 1: the plugin refused it. */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <slurm/spank.h>

static struct spank_option option;

#ifdef SCRONTAB
/* As scrontab has it, which Debian does not package. */
int scopt;
#endif

spank_context_t spank_context(void) { return S_CTX_ALLOCATOR; }

spank_err_t spank_option_register(spank_t spank, struct spank_option *given)
{
	(void)spank;
	option = *given;
	return ESPANK_SUCCESS;
}

void slurm_error(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	(void)vfprintf(stderr, format, values);
	va_end(values);
	(void)fputc('\n', stderr);
}

int main(int count, char **words)
{
	void *plugin = count == 3 ? dlopen(words[1], RTLD_LAZY) : NULL;
	spank_f *init = plugin != NULL ? (spank_f *)dlsym(plugin, "slurm_spank_init") : NULL;

	if (init == NULL || init(NULL, 0, NULL) != 0)
		return 2;
	return option.cb(0, words[2], 0) == 0 ? 0 : 1;
}
