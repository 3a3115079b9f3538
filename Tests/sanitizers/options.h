/* Included into spunnel-sshd before all else: what ASAN_OPTIONS and UBSAN_OPTIONS would say. */
__attribute__((weak)) const char *__asan_default_options(void);
__attribute__((weak)) const char *__ubsan_default_options(void);

__attribute__((weak)) const char *__asan_default_options(void)
{
	return "log_path=/tmp/checked:exitcode=0";
}

__attribute__((weak)) const char *__ubsan_default_options(void)
{
	return "log_path=/tmp/checked:print_stacktrace=1";
}
