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
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Variables that the keeper sets (TunnelKeys.swift): the host key's base64 without its frame, and
 * the tunnel's public key as type and base64. */
#define HOST_KEY "SPUNNEL_HOST_KEY"
#define CLIENT_KEY "SPUNNEL_CLIENT_KEY"
/* The keeper's port and the secrets (callback.c). An older keeper does not set it. */
#define CALLBACK "SPUNNEL_CALLBACK"

/* Milliseconds between TERM and KILL for sshd. */
#define PATIENCE 500

void say(const char *format, ...)
{
	char line[512];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	(void)fprintf(stderr, "spunnel-sshd: %s\n", line);
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
