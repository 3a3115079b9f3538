/* Runs a job's command on the node and notes how it ended: status, processor time, peak memory.
 * Slurm forgets a job some minutes after its end, and without accounting it never knows the last
 * two.
 *
 *     spunnel-run FOLDER COMMAND [ARGUMENT…]
 *
 * The note is FOLDER/JOB.run, with a key and a value on each line. The last line of a complete
 * note is `.`. If the folder cannot be written, the job runs without a note. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t child;

/* Passes signals on: sbatch --signal=B: and scancel --batch send them to this process only. */
static void pass_on(int number)
{
	if (child > 0)
		(void)kill((pid_t)child, number);
}

static void catch_signals(void)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT, SIGALRM};
	struct sigaction action = {.sa_handler = pass_on, .sa_flags = SA_RESTART};

	(void)sigemptyset(&action.sa_mask);
	for (size_t index = 0; index < sizeof numbers / sizeof *numbers; index++)
		(void)sigaction(numbers[index], &action, NULL);
}

/* The variable's value if it has only digits, so that the environment cannot name another file. */
static const char *number_of(const char *variable)
{
	const char *value = getenv(variable);

	return value != NULL && *value != '\0' && strspn(value, "0123456789") == strlen(value)
		       ? value
		       : NULL;
}

static int job_name(char *name, size_t size)
{
	const char *array = number_of("SLURM_ARRAY_JOB_ID"), *task = number_of("SLURM_ARRAY_TASK_ID");
	const char *job = number_of("SLURM_JOB_ID");

	if (array != NULL && task != NULL)
		return snprintf(name, size, "%s_%s", array, task) < (int)size ? 0 : -1;
	return job != NULL && snprintf(name, size, "%s", job) < (int)size ? 0 : -1;
}

static long long now(void)
{
	return (long long)time(NULL);
}

static long long milliseconds(struct timeval time)
{
	return time.tv_sec * 1000LL + time.tv_usec / 1000;
}

/* Replaces the note in one step. */
static void note(int folder, const char *job, long long begun, const int *status,
		 const struct rusage *usage)
{
	char name[64], draft[80], text[512], host[256] = "";
	int length, file;

	if (folder < 0 || snprintf(name, sizeof name, "%s.run", job) >= (int)sizeof name)
		return;
	(void)gethostname(host, sizeof host - 1);
	host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")] = '\0';
	length = snprintf(text, sizeof text, "job %s\nrestart %s\nhost %s\nbegun %lld\n",
			  number_of("SLURM_JOB_ID") != NULL ? getenv("SLURM_JOB_ID") : "0",
			  number_of("SLURM_RESTART_COUNT") != NULL ? getenv("SLURM_RESTART_COUNT") : "0",
			  host, begun);
	if (status != NULL)
		length += snprintf(text + length, sizeof text - (size_t)length,
				   "status %d\nended %lld\nuser_ms %lld\nsystem_ms %lld\npeak_kib %ld\n",
				   *status, now(), milliseconds(usage->ru_utime),
				   milliseconds(usage->ru_stime), usage->ru_maxrss);
	length += snprintf(text + length, sizeof text - (size_t)length, ".\n");
	(void)snprintf(draft, sizeof draft, "%s.%ld.new", name, (long)getpid());
	file = openat(folder, draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (file < 0)
		return;
	if (write(file, text, (size_t)length) == length && close(file) == 0)
		(void)renameat(folder, draft, folder, name);
	else
		(void)unlinkat(folder, draft, 0);
}

/* Runs the command. On failure it exits like a shell: 127 if the command is not found, 126
 * otherwise. */
static void run(char **command)
{
	(void)execvp(command[0], command);
	(void)fprintf(stderr, "spunnel-run: start '%s': %s\n", command[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* Ends the process in the same way as its child: by the same signal or with the same status. */
static int end_as(int status)
{
	if (WIFSIGNALED(status)) {
		struct rlimit none = {0, 0};

		(void)setrlimit(RLIMIT_CORE, &none);
		(void)signal(WTERMSIG(status), SIG_DFL);
		(void)raise(WTERMSIG(status));
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int count, char **words)
{
	char job[48];
	struct rusage usage;
	long long begun = now();
	int folder, status = 0;
	pid_t started;

	if (count < 3) {
		(void)fprintf(stderr, "usage: spunnel-run FOLDER COMMAND [ARGUMENT…]\n");
		return 2;
	}
	folder = job_name(job, sizeof job) == 0
			 ? open(words[1], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
			 : -1;
	note(folder, job, begun, NULL, NULL);
	started = fork();
	if (started == 0)
		run(words + 2);
	if (started < 0)
		run(words + 2); /* if fork fails, the command runs without a note */
	child = started;
	catch_signals();
	/* The command uses the standard streams; this process does not. */
	while (wait4(started, &status, 0, &usage) < 0)
		if (errno != EINTR)
			return 125;
	note(folder, job, begun, &status, &usage);
	return end_as(status);
}
