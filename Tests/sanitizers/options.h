/* Included into spunnel-sshd before all else: what ASAN_OPTIONS and UBSAN_OPTIONS would say. */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

const char *__asan_default_options(void)
{
	return "log_path=/tmp/checked:exitcode=0";
}

const char *__ubsan_default_options(void)
{
	return "log_path=/tmp/checked:print_stacktrace=1";
}
