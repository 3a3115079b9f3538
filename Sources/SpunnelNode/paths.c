/* The unix sockets on which sshd listens for remote forwards (`R:/path`). They are cleared before
 * sshd binds them, and removed at the end. sshd itself either removes no file, or with
 * StreamLocalBindUnlink any file of that name. */
#include "node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* The exit statuses that the keeper knows (RemotePath.swift). */
enum { FREE = 40, TAKEN = 44, BUSY = 45, REFUSED = 1 };

/* The start of the keeper's command, and the text before the path. */
#define BEGINNING "exec /bin/sh -c '"
#define BEFORE_PATH "' sh '"

/* Takes the path out of the keeper's command, in which a path never contains a quote.
 * @return the path within the text; NULL for any other command */
static char *path_of(char *command)
{
	char *path = NULL, *found = command;
	size_t length;

	if (command == NULL || strncmp(command, BEGINNING, strlen(BEGINNING)) != 0)
		return NULL;
	while ((found = strstr(found, BEFORE_PATH)) != NULL)
		path = found += strlen(BEFORE_PATH);
	length = path != NULL ? strlen(path) : 0;
	if (length < 2 || *path != '/' || path[length - 1] != '\'')
		return NULL;
	path[length - 1] = '\0';
	return strpbrk(path, "'\n") == NULL ? path : NULL;
}

/* Notes a path for the end of the tunnel, when this command no longer runs. */
static void note(const char *path)
{
	const char *name = getenv(PATHS);
	int file = name != NULL ? open(name, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;

	if (file < 0)
		return;
	(void)dprintf(file, "%s\n", path);
	(void)close(file);
}

/* Whether a process has bound a socket of that name (proc(5), /proc/net/unix). A test connection
 * would use up a listener that accepts only once. */
static int is_bound(const char *path)
{
	FILE *list = fopen("/proc/net/unix", "re");
	char *line = NULL;
	size_t room = 0, length = strlen(path);
	ssize_t count;
	int found = 0;

	if (list == NULL)
		return 1;
	while (!found && (count = getline(&line, &room, list)) > 0) {
		line[--count] = '\0';
		found = (size_t)count > length && line[(size_t)count - length - 1] == ' ' &&
			strcmp(line + count - length, path) == 0;
	}
	free(line);
	(void)fclose(list);
	return found;
}

int clear_path(void)
{
	char *path = path_of(getenv("SSH_ORIGINAL_COMMAND"));
	struct stat found;

	if (path == NULL) {
		say("this login is for a tunnel's forwards alone: use spunnelctl ssh for a shell");
		return REFUSED;
	}
	note(path);
	if (lstat(path, &found) != 0)
		return errno == ENOENT ? FREE : TAKEN;
	if (!S_ISSOCK(found.st_mode) || found.st_uid != getuid())
		return TAKEN;
	if (is_bound(path))
		return BUSY;
	return unlink(path) == 0 || errno == ENOENT ? FREE : TAKEN;
}

void remove_sockets(int paths)
{
	char text[4096], *rest = text, *path;
	ssize_t length = pread(paths, text, sizeof text - 1, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat found;

	text[length > 0 ? length : 0] = '\0';
	while ((path = strsep(&rest, "\n")) != NULL) {
		int end;

		if (*path != '/' || strlen(path) >= sizeof address.sun_path || lstat(path, &found) != 0 ||
		    !S_ISSOCK(found.st_mode) || found.st_uid != getuid())
			continue;
		(void)strcpy(address.sun_path, path);
		end = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		/* Another tunnel may listen there in the meantime. */
		if (end >= 0 && connect(end, (struct sockaddr *)&address, sizeof address) != 0 &&
		    errno == ECONNREFUSED)
			(void)unlink(path);
		if (end >= 0)
			(void)close(end);
	}
}
