/* Opening a file without crossing a mount point: openat2(2), for which the C library has no
 * function. */
#define _GNU_SOURCE
#include "csystem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From linux/openat2.h, which kernel headers before Linux 5.6 lack. */
struct how {
	uint64_t flags;
	uint64_t mode;
	uint64_t resolve;
};
enum { NUMBER = 437, NO_MOUNTS = 0x01, NO_LINKS = 0x04 };

int csystem_open_within(int directory, const char *name, int flags, mode_t mode)
{
	static atomic_bool is_missing;
	struct how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = NO_MOUNTS | NO_LINKS,
	};
	long fd;

	if (is_missing)
		return csystem_open_within_by_number(directory, name, flags, mode);
	do
		fd = syscall(NUMBER, directory, name, &how, sizeof how);
	while (fd < 0 && errno == EINTR);
	if (fd >= 0)
		return (int)fd;
	/* In some containers, seccomp(2) answers EPERM to system calls that its profile does not
	 * know. */
	if (errno != ENOSYS && errno != EPERM)
		return -errno;
	is_missing = errno == ENOSYS;
	return csystem_open_within_by_number(directory, name, flags, mode);
}

int csystem_mount_of(int descriptor)
{
	char path[48], text[512];
	const char *found;
	ssize_t count;
	int fd;

	(void)snprintf(path, sizeof path, "/proc/self/fdinfo/%d", descriptor);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	count = read(fd, text, sizeof text - 1);
	close(fd);
	if (count <= 0)
		return -1;
	text[count] = 0;
	found = strstr(text, "mnt_id:");
	return found ? atoi(found + strlen("mnt_id:")) : -1;
}

/* Without /proc the device numbers are compared. This asks the file system, and it cannot tell
 * bind mounts apart. */
static int is_on_mount_of(int directory, int fd)
{
	int mount = csystem_mount_of(directory);
	struct stat here, there;

	if (mount >= 0)
		return csystem_mount_of(fd) == mount;
	return fstat(directory, &here) == 0 && fstat(fd, &there) == 0 && here.st_dev == there.st_dev;
}

int csystem_open_within_by_number(int directory, const char *name, int flags, mode_t mode)
{
	/* O_PATH opens only the location, not the file itself. */
	int fd = csystem_openat(directory, name, O_PATH | O_NOFOLLOW, 0), is_here;

	if (fd < 0 && !(fd == -ENOENT && flags & O_CREAT))
		return fd;
	if (fd >= 0) {
		is_here = is_on_mount_of(directory, fd);
		close(fd);
		if (!is_here)
			return -EXDEV;
	}
	fd = csystem_openat(directory, name, flags | O_NOFOLLOW, mode);
	/* Another user may have mounted a file system there in the meantime. */
	if (fd >= 0 && !is_on_mount_of(directory, fd)) {
		close(fd);
		return -EXDEV;
	}
	return fd;
}
