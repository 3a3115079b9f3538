/* Starts a program on an old C library. Up to 2.33 a program ran its constructors itself, by a function
 * that its start code handed to __libc_start_main. The start code of newer compilers hands over none. */
typedef int main_function(int, char **, char **);
typedef void constructor(int, char **, char **);

extern int real_start(main_function *, int, char **, main_function *, void (*)(void), void (*)(void), void *);
__asm__(".symver real_start, __libc_start_main@" START_VERSION);

extern constructor *__preinit_array_start[] __attribute__((visibility("hidden")));
extern constructor *__preinit_array_end[] __attribute__((visibility("hidden")));
extern constructor *__init_array_start[] __attribute__((visibility("hidden")));
extern constructor *__init_array_end[] __attribute__((visibility("hidden")));

static int run_constructors(int count, char **words, char **environment)
{
	for (constructor **each = __preinit_array_start; each < __preinit_array_end; each++)
		(*each)(count, words, environment);
	for (constructor **each = __init_array_start; each < __init_array_end; each++)
		(*each)(count, words, environment);
	return 0;
}

__attribute__((visibility("hidden"))) int __libc_start_main(main_function *program, int count, char **words,
							     main_function *init, void (*fini)(void),
							     void (*loader_fini)(void), void *stack_end)
{
	(void)init;
	return real_start(program, count, words, run_constructors, fini, loader_fini, stack_end);
}
