/* Starting thousands of command lines: vfork(2), with as few calls as possible before exec. */
#define _GNU_SOURCE
#include "csystem.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Makes the kernel kill the task before the process that started it, if memory runs out. A vfork
 * child shares its parent's memory, but the kernel does not apply the value to the parent
 * (fs/proc/base.c). */
static void prefer_for_oom_kill(void)
{
	int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (file < 0)
		return;
	(void)!write(file, "1000", 4);
	(void)close(file);
}

/* Runs in the vfork child. The parent sleeps until exec, and both share their memory: `failure` is
 * the parent's variable. */
static _Noreturn void run_task(const struct csystem_task *task, pid_t parent, volatile int *failure)
{
	char *const argv[] = {(char *)"sh", (char *)"-c", (char *)task->command, NULL};
	struct sigaction action = {.sa_handler = SIG_DFL};
	sigset_t none;

	(void)setpgid(0, 0);
	prefer_for_oom_kill();
	if (dup2(task->input, 0) >= 0 && dup2(task->output, 1) >= 0 && dup2(task->error, 2) >= 0) {
		(void)sigaction(SIGPIPE, &action, NULL);
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		if (getppid() != parent)
			(void)raise(SIGKILL);
		sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		(void)execve("/bin/sh", argv, task->envp);
	}
	*failure = errno;
	_exit(126);
}

pid_t csystem_start_task(const struct csystem_task *task)
{
	volatile int failure = 0;
	pid_t parent = getpid(), child = vfork();

	if (child < 0)
		return -errno;
	if (child == 0)
		run_task(task, parent, &failure);
	if (failure == 0)
		return child;
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	return -failure;
}

static int64_t microseconds(struct timeval time)
{
	return time.tv_sec * INT64_C(1000000) + time.tv_usec;
}

pid_t csystem_reap(struct csystem_end *end)
{
	struct rusage usage;
	int status = 0;
	pid_t child;

	do
		child = wait4(-1, &status, WNOHANG, &usage);
	while (child < 0 && errno == EINTR);
	if (child <= 0)
		return 0;
	end->exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	end->signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	end->processor_microseconds = microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
	end->peak_kilobytes = usage.ru_maxrss;
	return child;
}

int csystem_lock_file(int file)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(file, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

int csystem_temporary_file(const char *directory)
{
	int file = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return file < 0 ? -errno : file;
}

int csystem_processor_count(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}
