/* Functions that the C library got after the oldest version that we link for. The linker takes each from
 * here only when something calls it (see make). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Since 2.32: lets C++'s reference counts skip atomic instructions. Always false is always right. */
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;

/* Since 2.33; before, a macro called __xstat. */
__attribute__((visibility("hidden"))) int stat(const char *restrict path, struct stat *restrict result)
{
	return (int)syscall(SYS_newfstatat, AT_FDCWD, path, result, 0);
}

__attribute__((visibility("hidden"))) int lstat(const char *restrict path, struct stat *restrict result)
{
	return (int)syscall(SYS_newfstatat, AT_FDCWD, path, result, AT_SYMLINK_NOFOLLOW);
}

__attribute__((visibility("hidden"))) int fstat(int descriptor, struct stat *result)
{
	return (int)syscall(SYS_newfstatat, descriptor, "", result, AT_EMPTY_PATH);
}

__attribute__((visibility("hidden"))) int fstatat(int folder, const char *restrict path, struct stat *restrict result,
						  int flags)
{
	return (int)syscall(SYS_newfstatat, folder, path, result, flags);
}
