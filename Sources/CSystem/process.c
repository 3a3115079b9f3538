/* Starting programs. Code between vfork and exec may call only async-signal-safe functions, and it
 * runs in its parent's memory. */
#define _GNU_SOURCE
#include "csystem.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

void csystem_set_process_name(const char *name)
{
	(void)prctl(PR_SET_NAME, name, 0, 0, 0);
}

static int release_segments(struct dl_phdr_info *object, size_t size, void *unused)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)unused;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
		uintptr_t start = object->dlpi_addr + segment->p_vaddr;

		if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W) != 0)
			continue;
		(void)madvise((void *)(start & ~(page - 1)),
			      segment->p_memsz + (start & (page - 1)), MADV_DONTNEED);
	}
	return 0;
}

void csystem_release_code(void)
{
	(void)dl_iterate_phdr(release_segments, NULL);
}

int csystem_exit_code(int wait_status)
{
	return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

static void close_from(int first)
{
	struct rlimit limit;

#ifdef SYS_close_range
	if (syscall(SYS_close_range, (unsigned)first, ~0U, 0U) == 0)
		return;
#endif
	/* Before Linux 5.9 each descriptor is closed by itself. With a huge limit this would take
	 * seconds, so only the first 65536 are closed: srun's descriptors have low numbers. */
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > 65536)
		limit.rlim_cur = 65536;
	for (int fd = first; fd < (int)limit.rlim_cur; fd++)
		(void)close(fd);
}

static void reset_handlers(void)
{
	struct sigaction action = {.sa_handler = SIG_DFL};

	for (int number = 1; number < NSIG; number++)
		(void)sigaction(number, &action, NULL);
}

/* Unblocks all signals, as the last step before exec. If a signal kills a vfork child
 * before exec, its parent continues, while a second vfork child may still use the same memory. */
static void unblock_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Asks for a signal when the parent dies. If the parent died before this call, the signal is
 * raised now. */
static void die_with_parent(int signal_number, pid_t parent)
{
	if (signal_number == 0)
		return;
	(void)prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0);
	if (getppid() != parent)
		(void)raise(signal_number);
}

/* Moves the wanted descriptors to 0, 1, 2 … and `report` after them, and closes the rest. */
static int place_descriptors(const struct csystem_program *program, int report)
{
	int count = (int)program->descriptor_count;
	int above[count + 1];

	/* First all are copied out of the way, because a source may lie where another descriptor
	 * belongs. */
	for (int i = 0; i <= count; i++) {
		int source = i < count ? program->descriptors[i] : report;
		above[i] = fcntl(source, F_DUPFD, count + 1);
		if (above[i] < 0)
			return -1;
	}
	for (int i = 0; i <= count; i++)
		if (dup2(above[i], i) < 0)
			return -1;
	if (fcntl(count, F_SETFD, FD_CLOEXEC) < 0)
		return -1;
	close_from(count + 1);
	return count;
}

static _Noreturn void give_up(int report, int failure)
{
	(void)!write(report, &failure, sizeof failure);
	_exit(127);
}

static _Noreturn void run_child(const struct csystem_program *program, int report, pid_t parent)
{
	int moved;

	reset_handlers();
	if (program->new_session)
		(void)setsid();
	else
		(void)setpgid(0, 0);
	if (program->detached) {
		pid_t child = vfork();

		if (child < 0)
			give_up(report, errno);
		if (child > 0)
			_exit(0);
	}
	if (program->raise_descriptor_limit)
		raise_descriptor_limit();
	moved = place_descriptors(program, report);
	if (moved >= 0) {
		report = moved;
		die_with_parent(program->parent_death_signal, parent);
		unblock_signals();
		(void)execve(program->path, program->argv, program->envp);
	}
	give_up(report, errno);
}

/* vfork, not fork: srun's page tables are large, and copying them would cost more than all other
 * steps. */
pid_t csystem_spawn(const struct csystem_program *program)
{
	int report[2], failure = 0, status = 0;
	sigset_t all, before;
	pid_t parent = getpid(), child;
	ssize_t got;

	if (pipe2(report, O_CLOEXEC) < 0)
		return -errno;
	/* Signals stay blocked until the child has reset its handlers: no handler of the host
	 * process may run there. */
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	child = vfork();
	if (child == 0)
		run_child(program, report[1], parent);
	failure = child < 0 ? errno : 0;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)close(report[1]);
	if (child > 0) {
		/* If exec succeeds, the pipe closes and the read finds end of file. */
		do
			got = read(report[0], &failure, sizeof failure);
		while (got < 0 && errno == EINTR);
		if (got != (ssize_t)sizeof failure)
			failure = 0;
		if (failure != 0 || program->detached) {
			while (waitpid(child, &status, 0) < 0 && errno == EINTR)
				;
			child = 0;
		}
		/* The child was killed from outside before it had started the detached process. */
		if (failure == 0 && status != 0)
			failure = ECHILD;
	}
	(void)close(report[0]);
	return failure != 0 ? -failure : child;
}

void csystem_adopt_orphans(void)
{
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

pid_t csystem_fork(int parent_death_signal)
{
	pid_t parent = getpid(), child = fork();

	if (child < 0)
		return -errno;
	if (child == 0)
		die_with_parent(parent_death_signal, parent);
	return child;
}
