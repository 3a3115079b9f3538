/* The node's end of a tunnel if ssh logins are forbidden: the user's own sshd inside the job (see
 * docs/design.md, "A tunnel through srun").
 *
 * srun starts this program as a job step. Its environment has two keys that are made for this
 * tunnel only. The program connects to the keeper's port on srun's host (callback.c). It starts
 * `sshd -i` on that connection and waits until sshd ends. If it cannot connect, sshd gets srun's
 * own input and output. sshd reads its configuration from files without a name (memfd_create(2))
 * through this process's /proc entry. So nothing is written to the node's disk, and nothing can be
 * left there. */
#include "node.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Variables that the keeper sets (TunnelKeys.swift): the host key's base64 without its frame, and
 * the tunnel's public key as type and base64. */
#define HOST_KEY "SPUNNEL_HOST_KEY"
#define CLIENT_KEY "SPUNNEL_CLIENT_KEY"
/* Set only by spunnelctl proxy: the program that sshd runs for each shell and command. Without it
 * sshd allows forwards only. */
#define ENTER "SPUNNEL_ENTER"

/* The keeper's port and the secrets (callback.c). An older keeper does not set it. */
#define CALLBACK "SPUNNEL_CALLBACK"

/* The longest base64 text of a key. An ed25519 key has 400 characters. */
#define LONGEST_KEY 8192

/* Milliseconds between TERM and KILL for sshd. */
#define PATIENCE 500

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

void say(const char *format, ...)
{
	char line[512];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	(void)fprintf(stderr, "spunnel-sshd: %s\n", line);
}

/* Makes a file without a name, readable only by this user, with a text in it.
 * @return its descriptor, or -1 after a line was printed */
__attribute__((format(printf, 2, 3))) static int file_of(const char *name, const char *format, ...)
{
	char text[LONGEST_KEY + 4096];
	va_list arguments;
	int length, fd;

	va_start(arguments, format);
	length = vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	fd = memory_file(name);
	/* sshd refuses a host key that other users could read. */
	if (fd < 0 || fchmod(fd, 0600) != 0 || write(fd, text, (size_t)length) != length) {
		say("make a file in memory for %s: %s: use ssh to the node instead (transport=ssh)", name,
		    strerror(errno));
		fd = -1;
	}
	explicit_bzero(text, sizeof text);
	return fd;
}

/* Takes a key out of the environment, so that no other process of the node can read it there.
 * @param allowed the characters it may have, because it becomes part of a file that sshd reads
 * @return memory to be freed by the caller, or NULL after a line was printed */
static char *take(const char *name, const char *allowed)
{
	char *value = getenv(name), *copy;

	if (value == NULL) {
		say("%s is not set: this program is started by srun --tunnel", name);
		return NULL;
	}
	copy = strdup(value);
	/* This clears it from /proc/PID/environ too. */
	explicit_bzero(value, strlen(value));
	(void)unsetenv(name);
	if (copy == NULL || *copy == '\0' || strlen(copy) > LONGEST_KEY ||
	    copy[strspn(copy, allowed)] != '\0') {
		say("%s is no key: is Spunnel on this node the same version as where srun was typed?",
		    name);
		free(copy);
		return NULL;
	}
	return copy;
}

#define BASE64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

/* The first executable sshd: in the usual places, then in PATH.
 * @return an absolute path in static storage, or NULL */
static const char *find_sshd(void)
{
	static char found[4096];
	const char *usual[] = {"/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/local/bin/sshd"};
	const char *path = getenv("PATH");

	for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
		if (access(usual[i], X_OK) == 0)
			return usual[i];
	while (path != NULL && *path != '\0') {
		size_t length = strcspn(path, ":");

		/* Relative entries are skipped: they would depend on the step's working directory. */
		if (*path == '/' &&
		    snprintf(found, sizeof found, "%.*s/sshd", (int)length, path) < (int)sizeof found &&
		    access(found, X_OK) == 0)
			return found;
		path += length + (path[length] == ':');
	}
	return NULL;
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

/* Makes the configuration (sshd_config(5)): only this tunnel's key, and only forwarding unless a
 * shell is allowed. An sshd that is not root can log in only its own user. All keywords exist in
 * OpenSSH 8.0. */
static int configuration(int host_key, int authorized, int paths, int is_direct)
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

/* Becomes sshd, in the child.
 * @param connection to the keeper, or -1: standard input and output */
static void run_sshd(const char *path, int config, int connection, pid_t parent)
{
	char file[64];
	char *arguments[] = {(char *)path, "-i", "-e", "-f", file, NULL};
	char *environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", NULL};
	sigset_t blocked;

	/* The child gets its own process group, so that it can be ended as a whole. It ends when
	 * this program dies in any way. */
	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	if (getppid() != parent)
		_exit(0);
	/* sshd needs TERM, its children's exits, and the alarm of LoginGraceTime. Other signals of
	 * the step are not meant for it. */
	sigfillset(&blocked);
	for (const int *number = (const int[]){SIGTERM, SIGCHLD, SIGALRM, 0}; *number != 0; number++)
		sigdelset(&blocked, *number);
	(void)sigprocmask(SIG_SETMASK, &blocked, NULL);
	(void)snprintf(file, sizeof file, "/proc/%d/fd/%d", (int)parent, config);
	if (connection >= 0) {
		(void)dup2(connection, STDIN_FILENO);
		(void)dup2(connection, STDOUT_FILENO);
		/* A stranger can stall srun's output. sshd must not block while it writes a
		 * message there. */
		(void)fcntl(STDERR_FILENO, F_SETFL, fcntl(STDERR_FILENO, F_GETFL) | O_NONBLOCK);
	}
	(void)execve(path, arguments, environment);
	say("run %s: %s: ask your administrator to mend it on this node", path, strerror(errno));
	_exit(1);
}

/* Ends sshd: TERM, a bounded wait, KILL. */
static void end(pid_t child)
{
	const struct timespec pause = {.tv_nsec = 2 * 1000 * 1000};

	(void)kill(-child, SIGTERM);
	for (int waited = 0; waited < PATIENCE; waited += 2) {
		if (waitpid(child, NULL, WNOHANG) != 0)
			break;
		(void)nanosleep(&pause, NULL);
	}
	(void)kill(-child, SIGKILL);
}

/* Reads the available bytes and drops them.
 * @return whether the input is at its end */
static int is_at_end(int fd)
{
	char bytes[512];
	ssize_t count = read(fd, bytes, sizeof bytes);

	return count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN);
}

/* Waits until sshd ends, a signal asks this program to end, or srun is gone.
 * @param input srun's input if sshd does not read it, otherwise -1 */
static void attend(pid_t child, int signals, int input)
{
	struct pollfd watched[] = {
		{.fd = signals, .events = POLLIN}, {.fd = input, .events = POLLIN},
	};

	for (;;) {
		struct signalfd_siginfo info;

		if (poll(watched, 2, -1) < 0)
			continue;
		if (watched[1].revents != 0 && is_at_end(input))
			return end(child);
		if (watched[0].revents == 0 || read(signals, &info, sizeof info) != sizeof info)
			continue;
		if (info.ssi_signo != SIGCHLD)
			return end(child);
		if (waitpid(child, NULL, WNOHANG) == child) {
			/* This ends the processes that sshd has started. */
			(void)kill(-child, SIGKILL);
			return;
		}
	}
}

static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	/* sshd needs one descriptor for each connection. */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Takes the keeper's port and secrets out of the environment.
 * @return 1; 0 if there are none; -1 after a line was printed */
static int take_callback(struct callback *callback)
{
	char *text;
	int result;

	if (getenv(CALLBACK) == NULL)
		return 0;
	text = take(CALLBACK, "0123456789abcdef:");
	if (text == NULL)
		return -1;
	result = parse_callback(text, callback);
	explicit_bzero(text, strlen(text));
	free(text);
	if (result != 0)
		say("%s is malformed: is Spunnel on this node the same version as where srun was typed?",
		    CALLBACK);
	return result == 0 ? 1 : -1;
}

/* Writes the keys into files.
 * @return 0, or -1 after a line was printed */
static int take_keys(int *host, int *authorized)
{
	char *host_key = take(HOST_KEY, BASE64);
	int has_shell = getenv(ENTER) != NULL;
	/* If a shell is allowed, there may be several keys, one on each line. */
	char *client_key = take(CLIENT_KEY, has_shell ? BASE64 "- \n" : BASE64 "- ");

	*host = *authorized = -1;
	if (host_key != NULL && client_key != NULL) {
		*host = file_of("the host key",
				"-----BEGIN OPENSSH PRIVATE KEY-----\n%s\n"
				"-----END OPENSSH PRIVATE KEY-----\n", host_key);
		*authorized = file_of("the tunnel's key", "%s%s\n",
				      has_shell ? "" : "restrict,port-forwarding ", client_key);
	}
	if (host_key != NULL)
		explicit_bzero(host_key, strlen(host_key));
	free(host_key);
	free(client_key);
	return *host < 0 || *authorized < 0 ? -1 : 0;
}

/* Starts sshd on the connection and waits until it ends.
 * @param connection to the keeper, or -1: srun's input and output */
static void serve(const char *path, int config, int connection, int signals)
{
	pid_t self = getpid(), child = fork();

	if (child == 0)
		run_sshd(path, config, connection, self);
	if (child < 0) {
		say("fork: %s", strerror(errno));
		return;
	}
	(void)setpgid(child, child);
	/* Only sshd holds the connection, so it closes when sshd ends. The remaining input from
	 * srun shows when srun goes. */
	(void)close(connection >= 0 ? connection : STDIN_FILENO);
	(void)close(STDOUT_FILENO);
	attend(child, signals, connection >= 0 ? STDIN_FILENO : -1);
}

/* Blocks all signals. scancel --signal sends signals to all steps of a job, but they are not meant
 * for a tunnel. Slurm ends a step with TERM.
 * @return a descriptor for TERM and SIGCHLD, or -1 after a line was printed */
static int watch_signals(void)
{
	sigset_t all, watched;
	int signals;

	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	sigemptyset(&watched);
	sigaddset(&watched, SIGCHLD);
	sigaddset(&watched, SIGTERM);
	signals = signalfd(-1, &watched, SFD_CLOEXEC);
	if (signals < 0)
		say("signalfd: %s: ask your administrator", strerror(errno));
	return signals;
}

/* Returns 0 in every case: a step's exit status counts in the job's DerivedExitCode, and the end
 * of a tunnel must not change it. Errors are printed. */
int main(int count, char **words)
{
	struct callback callback;
	const char *path;
	int signals, is_called, host, authorized, paths, config, connection = -1;

	if (count == 2 && strcmp(words[1], "clear") == 0)
		return clear_path();
	signals = watch_signals();
	is_called = take_callback(&callback);
	if (signals < 0 || is_called < 0 || take_keys(&host, &authorized) < 0)
		return 0;
	path = find_sshd();
	if (path == NULL) {
		say("no sshd was found on this node: ask your administrator to install the OpenSSH "
		    "server there; it need not be started");
		return 0;
	}
	if (is_called) {
		connection = call_back(&callback, signals);
		explicit_bzero(&callback, sizeof callback);
	}
	paths = file_of("the paths of sockets", "%s", "");
	config = connection == -2 || paths < 0 ? -1
					       : configuration(host, authorized, paths, connection >= 0);
	if (config < 0)
		return 0;
	raise_descriptor_limit();
	serve(path, config, connection, signals);
	remove_sockets(paths);
	return 0;
}
