/* A file system that lies (fuse(4)): what is in a folder of the stranger's is shown as another user's, with
 * mode 0700, to everybody.
 *
 *   lying FOLDER UID MOUNTPOINT   serves in the background until it is ended; to be run by the stranger */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *folder;
static uid_t victim;

/* The place in the folder that a path stands for. */
#define PLACE(name, path)            \
	char name[PATH_MAX];         \
	(void)snprintf(name, sizeof name, "%s%s", folder, path)

static int result(int value) { return value < 0 ? -errno : 0; }

static int lie(const char *path, struct stat *shown, struct fuse_file_info *file)
{
	PLACE(place, path);

	(void)file;
	if (lstat(place, shown) < 0)
		return -errno;
	shown->st_uid = victim;
	shown->st_mode = (shown->st_mode & S_IFMT) | (S_ISDIR(shown->st_mode) ? 0700 : 0600);
	return 0;
}

static int list(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
		struct fuse_file_info *file, enum fuse_readdir_flags flags)
{
	PLACE(place, path);
	char command[PATH_MAX + 16], name[NAME_MAX + 2];
	FILE *names;

	(void)offset, (void)file, (void)flags;
	(void)snprintf(command, sizeof command, "ls -a '%s'", place);
	names = popen(command, "r");
	if (names == NULL)
		return -EIO;
	while (fgets(name, sizeof name, names)) {
		name[strcspn(name, "\n")] = 0;
		fill(buffer, name, NULL, 0, 0);
	}
	pclose(names);
	return 0;
}

static int make_folder(const char *path, mode_t mode)
{
	PLACE(place, path);
	(void)mode;
	return result(mkdir(place, 0777));
}

static int make_node(const char *path, mode_t mode, dev_t device)
{
	PLACE(place, path);
	return result(mknod(place, mode | 0666, device));
}

static int make_file(const char *path, mode_t mode, struct fuse_file_info *file)
{
	PLACE(place, path);
	(void)mode, (void)file;
	return result(mknod(place, S_IFREG | 0666, 0));
}

static int no_change(const char *path, mode_t mode, struct fuse_file_info *file)
{
	(void)path, (void)mode, (void)file;
	return 0;
}

static int opens(const char *path, struct fuse_file_info *file)
{
	(void)path, (void)file;
	return 0;
}

static int reads(const char *path, char *bytes, size_t size, off_t offset, struct fuse_file_info *file)
{
	PLACE(place, path);
	int fd = open(place, O_RDONLY), count;

	(void)file;
	count = (int)pread(fd, bytes, size, offset);
	close(fd);
	return count < 0 ? -errno : count;
}

static int writes(const char *path, const char *bytes, size_t size, off_t offset,
		  struct fuse_file_info *file)
{
	PLACE(place, path);
	int fd = open(place, O_WRONLY), count;

	(void)file;
	count = (int)pwrite(fd, bytes, size, offset);
	close(fd);
	return count < 0 ? -errno : count;
}

static int cuts(const char *path, off_t size, struct fuse_file_info *file)
{
	PLACE(place, path);
	(void)file;
	return result(truncate(place, size));
}

static int renames(const char *old, const char *new, unsigned flags)
{
	PLACE(from, old);
	PLACE(to, new);
	(void)flags;
	return result(rename(from, to));
}

static int removes(const char *path)
{
	PLACE(place, path);
	return result(unlink(place));
}

static int removes_folder(const char *path)
{
	PLACE(place, path);
	return result(rmdir(place));
}

int main(int count, char **words)
{
	static const struct fuse_operations operations = {
		.getattr = lie, .readdir = list, .mkdir = make_folder, .mknod = make_node,
		.create = make_file, .open = opens, .read = reads, .write = writes, .truncate = cuts,
		.rename = renames, .unlink = removes, .rmdir = removes_folder, .chmod = no_change,
	};
	char *options[] = {words[0], "-s", "-o", "allow_other", words[count - 1], NULL};

	if (count != 4)
		return 2;
	folder = words[1];
	victim = (uid_t)atoi(words[2]);
	umask(0);
	return fuse_main(5, options, &operations, NULL);
}
