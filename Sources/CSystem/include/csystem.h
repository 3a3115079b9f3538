/* Linux calls that Swift cannot express: variadic functions, macros, and the code between vfork
 * and exec. Every function returns zero or more, or the negated errno. */
#ifndef CSYSTEM_H
#define CSYSTEM_H

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __clang__
#pragma clang assume_nonnull begin
#else
#define _Nullable
#define _Nonnull
#endif

/** A program for `csystem_spawn`. All pointers are borrowed for the call. */
struct csystem_program {
	const char *path;               /**< absolute path of the executable */
	char *_Nullable const *_Nonnull argv; /**< argument vector, NULL-terminated */
	char *_Nullable const *_Nonnull envp; /**< environment, NULL-terminated */
	const int *descriptors;         /**< become 0, 1, 2 … in the child; all others are closed */
	size_t descriptor_count;
	int parent_death_signal;        /**< the child gets it when the caller dies; 0: none */
	int new_session;                /**< non-zero: setsid(2), otherwise setpgid(2) */
	int detached;                   /**< non-zero: outlives the caller, not waited for; no death signal */
	int raise_descriptor_limit;     /**< non-zero: soft RLIMIT_NOFILE is raised to the hard limit */
};

/** Starts a program. Every signal has its default action and none is blocked.
 *  @return the process id; 0 if it is detached; the negated errno of the step that failed, which
 *  may be exec */
pid_t csystem_spawn(const struct csystem_program *program);

/** fork(2), which Swift does not offer. The process must have one thread.
 *  @param parent_death_signal the child gets it when the caller dies; 0: none
 *  @return the child's process id, 0 in the child, or the negated errno */
pid_t csystem_fork(int parent_death_signal);

/** Makes this process the parent of descendants that lose their own parent (prctl(2),
 *  PR_SET_CHILD_SUBREAPER). */
void csystem_adopt_orphans(void);

/** Closes a descriptor in every child that this process forks from now on, in any thread.
 *  @param is_withheld 0: no longer; call it before the descriptor is closed, because its number
 *  may be reused */
void csystem_withhold_from_forks(int descriptor, int is_withheld);

/** Sets the process name for ps(1) and top(1). @param name at most 15 bytes are kept */
void csystem_set_process_name(const char *name);

/** Drops the resident pages of the process's code and constants. They stay in the page cache and
 *  return when they are used again. Code that only the start needs stays out of memory. */
void csystem_release_code(void);

/** Converts a status of wait(2): the exit status, or 128 + the signal that ended the process. */
int csystem_exit_code(int wait_status);

/** Opens a file relative to a directory, with a mode (openat(2), variadic in C), close-on-exec. */
int csystem_openat(int directory, const char *path, int flags, mode_t mode);

/** Opens a name in a directory without crossing a mount point (openat2(2), RESOLVE_NO_XDEV). A
 *  file system that another user has mounted there is not asked anything. Symbolic links are not
 *  followed.
 *  @return the descriptor, -EXDEV for a mount point, or another negated errno */
int csystem_open_within(int directory, const char *name, int flags, mode_t mode);

/** Does the same on a kernel without openat2(2) (before Linux 5.6): it compares mount ids. For
 *  csystem_open_within and its tests. */
int csystem_open_within_by_number(int directory, const char *name, int flags, mode_t mode);

/** The id of the mount on which an open file lies, as in /proc/self/mountinfo. No file system is
 *  asked.
 *  @return the id, or -1 if it is unknown */
int csystem_mount_of(int descriptor);

/** pipe2(2), close-on-exec and non-blocking. @param ends the read end, then the write end */
int csystem_pipe(int ends[_Nonnull 2]);

/** accept4(2), close-on-exec and non-blocking, with the peer's address. */
int csystem_accept(int listener, struct sockaddr_storage *peer, socklen_t *length);

/** The peer's user of a unix socket (unix(7), SO_PEERCRED).
 *  @param user receives the user id that the peer had at connect(2) */
int csystem_peer_user(int socket, uid_t *user);

/** splice(2) at the descriptors' own offsets, non-blocking. @return bytes moved, 0 at end of file */
ssize_t csystem_splice(int source, int target, size_t limit);

/** Waits for input on one descriptor with ppoll(2). For the main thread of a program that blocks
 *  INT, QUIT, TERM and HUP and lets another thread take them. If one of these signals comes, the
 *  wait ends, and the signal is sent again for that thread. Signals that are not blocked have
 *  their usual effect.
 *  @return 1: input or end of file; 0: the time is over; -EINTR: a signal came */
int csystem_poll_interruptibly(int descriptor, int milliseconds);

/** Makes sure that the exit of children can be waited for. If SIGCHLD is ignored, which survives
 *  exec(2), the kernel keeps no exit status (wait(2)).
 *  @param before receives the previous action
 *  @return 1: the action was changed; 0: no change was needed */
int csystem_keep_children(struct sigaction *before);

/** Restores the action that `csystem_keep_children` has changed, and reaps children that ended in
 *  the meantime. */
void csystem_leave_children(const struct sigaction *before);

/** The size of a terminal (ioctl TIOCGWINSZ). */
int csystem_terminal_size(int terminal, unsigned short *rows, unsigned short *columns);

/** O_PATH of open(2), which fcntl.h hides behind _GNU_SOURCE. */
static const int csystem_o_path = 010000000;

/** Sets the capacity of a pipe (fcntl(2), F_SETPIPE_SZ). @return the capacity in bytes */
int csystem_set_pipe_capacity(int pipe, int bytes);

/** Sends one byte with one descriptor attached (unix(7), SCM_RIGHTS), as OpenSSH's mm_send_fd
 *  does. */
int csystem_send_descriptor(int socket, int descriptor);

/** A command line for /bin/sh. All pointers and descriptors are borrowed for the call. */
struct csystem_task {
	const char *command;                   /**< passed as one argument after `sh -c` */
	char *_Nullable const *_Nonnull envp;  /**< environment, NULL-terminated */
	int input, output, error;              /**< become 0, 1, 2; all others must be close-on-exec */
};

/** Starts `sh -c COMMAND` as the leader of a process group. The kernel kills it when its parent
 *  dies. If memory runs out, the kernel kills it before its parent.
 *  @return the process id, or the negated errno */
pid_t csystem_start_task(const struct csystem_task *task);

/** The end of a child, and the resources it used (wait4(2)). */
struct csystem_end {
	int exit_status;                /**< 0 if a signal ended it */
	int signal_number;              /**< 0 if it exited */
	int64_t processor_microseconds; /**< user and system time, including its own children */
	int64_t peak_kilobytes;         /**< the largest resident set */
};

/** Reaps one child that has ended, without waiting.
 *  @return the process id, or 0 if no child has ended */
pid_t csystem_reap(struct csystem_end *end);

/** Locks a whole file for writing until its last descriptor is closed, without waiting (fcntl(2),
 *  F_OFD_SETLK). */
int csystem_lock_file(int file);

/** The number of processors that this process may use (sched_getaffinity(2)), at least 1. */
int csystem_processor_count(void);

/** Opens a file without a name (open(2), O_TMPFILE). @return the descriptor */
int csystem_temporary_file(const char *directory);

#ifdef __clang__
#pragma clang assume_nonnull end
#endif
#endif
