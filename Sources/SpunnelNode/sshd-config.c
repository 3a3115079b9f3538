/* The files that sshd reads: the configuration, and keys. They have no name (memfd_create(2)), so nothing is
 * written to the node's disk. */
#include "node.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

static int memory_file(const char *name)
{
	/* Some hosts refuse memory files that can be executed (sysctl vm.memfd_noexec). Linux
	 * before 6.3 does not know this flag. */
	int fd = memfd_create(name, MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, 0);
	return fd;
}

/* sshd reads a host key only if no other user can read it. */
int file_of(const char *name, const char *format, ...)
{
	char text[LONGEST_KEY + 4096];
	va_list arguments;
	int length, fd;

	va_start(arguments, format);
	length = vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	fd = memory_file(name);
	if (fd < 0 || fchmod(fd, 0600) != 0 || write(fd, text, (size_t)length) != length) {
		say("make a file in memory for %s: %s: use ssh to the node instead (transport=ssh)", name,
		    strerror(errno));
		fd = -1;
	}
	explicit_bzero(text, sizeof text);
	return fd;
}

#define PATH_CHARACTERS BASE64 "._-"

/* The sshd_config lines for a tunnel: the only command is this program, which clears the path of a
 * remote forward (paths.c).
 * @param lines receives the lines; sessions are forbidden if this program's path has unusual
 * characters
 * @return 0, or -1 if there is no room */
static int allow_clearing(char *lines, size_t size)
{
	char path[4096];
	ssize_t count = readlink("/proc/self/exe", path, sizeof path - 1);
	int length;

	path[count > 0 ? count : 0] = '\0';
	if (*path != '/' || path[strspn(path, PATH_CHARACTERS)] != '\0')
		length = snprintf(lines, size, "MaxSessions 0\n");
	else
		length = snprintf(lines, size, "ForceCommand %s clear\n", path);
	return length < (int)size ? 0 : -1;
}

/* The sshd_config lines that allow logins. They come first in the file, because sshd uses the
 * first value of each keyword.
 * @param path the program of SPUNNEL_ENTER, or NULL for forwards only
 * @param lines receives the lines
 * @return 0, or -1 after a line was printed */
static int allow_shell(const char *path, char *lines, size_t size)
{
	int length;

	if (path == NULL)
		return allow_clearing(lines, size);
	if (*path != '/' || path[strspn(path, PATH_CHARACTERS)] != '\0') {
		say("%s: '%s' is no plain path: install Spunnel under another prefix", ENTER, path);
		return -1;
	}
	length = snprintf(lines, size,
			  "ForceCommand %s enter\n"
			  "Subsystem sftp internal-sftp\n"
			  "MaxSessions 1000\n"
			  "LogLevel ERROR\n"
			  "PermitTTY yes\n"
			  "AllowAgentForwarding yes\n"
			  "X11Forwarding yes\n"
			  "AcceptEnv LANG LC_* COLORTERM\n", path);
	return length < (int)size ? 0 : -1;
}

int configuration(int host_key, int authorized, int paths, int is_direct)
{
	int self = (int)getpid();
	char shell[4096 + 512];

	if (allow_shell(getenv(ENTER), shell, sizeof shell) < 0)
		return -1;
	return file_of("sshd_config",
		       "%s"
		       "HostKey /proc/%d/fd/%d\n"
		       "AuthorizedKeysFile /proc/%d/fd/%d\n"
		       /* The mode check of the key's path, which lies in /proc. */
		       "StrictModes no\n"
		       "PidFile none\n"
		       "UsePAM no\n"
		       "AuthenticationMethods publickey\n"
		       "PubkeyAuthentication yes\n"
		       "PasswordAuthentication no\n"
		       "KbdInteractiveAuthentication no\n"
		       "HostbasedAuthentication no\n"
		       "PermitRootLogin prohibit-password\n"
		       "LoginGraceTime 30\n"
		       "AllowTcpForwarding yes\n"
		       "AllowStreamLocalForwarding yes\n"
		       /* With "yes" sshd would remove any file of that name. */
		       "StreamLocalBindUnlink no\n"
		       "GatewayPorts no\n"
		       "AllowAgentForwarding no\n"
		       "X11Forwarding no\n"
		       "PermitTunnel no\n"
		       "MaxSessions 10\n"
		       "PermitTTY no\n"
		       "PermitUserRC no\n"
		       "PermitUserEnvironment no\n"
		       "PrintMotd no\n"
		       "UseDNS no\n"
		       /* Detects a submit host that has vanished. Through srun the limit is
		        * longer: a stranger who connects to srun's port can stall srun for five
		        * minutes, because srun waits so long for the connection's first bytes. */
		       "ClientAliveInterval %d\n"
		       "ClientAliveCountMax %d\n"
		       "SetEnv " PATHS "=/proc/%d/fd/%d\n"
		       "LogLevel INFO\n",
		       shell, self, host_key, self, authorized, is_direct ? 15 : 30,
		       is_direct ? 3 : 12, self, paths);
}
