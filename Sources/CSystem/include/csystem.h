/* What Linux offers and Swift cannot say: variadic calls, macros, and what runs between vfork
 * and exec. Every function returns a value of zero or more, or the negated errno. */
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

/** What `csystem_spawn` starts. All pointers are borrowed for the call. */
struct csystem_program {
	const char *path;               /**< absolute path of the executable */
	char *_Nullable const *_Nonnull argv; /**< argument vector, NULL-terminated */
	char *_Nullable const *_Nonnull envp; /**< environment, NULL-terminated */
	const int *descriptors;         /**< becomes 0, 1, 2 … in the child; all others are closed */
	size_t descriptor_count;
	int parent_death_signal;        /**< sent to the child when the caller dies; 0: none */
	int new_session;                /**< non-zero: setsid(2), else setpgid(2) */
	int detached;                   /**< non-zero: it is nobody's child; without a death signal */
	int raise_descriptor_limit;     /**< non-zero: soft RLIMIT_NOFILE up to the hard one */
};

/** Starts a program with every signal at its default and none blocked.
 *  @return its process id, 0 if it is detached, or the negated errno of the step that failed, exec
 *  included. */
pid_t csystem_spawn(const struct csystem_program *program);

/** fork(2), which Swift hides: only for a process with one thread.
 *  @param parent_death_signal sent to the child when the caller dies; 0: none
 *  @return the child's process id, 0 in the child, or the negated errno */
pid_t csystem_fork(int parent_death_signal);

/** Has descendants that lose their parent become this process's children (prctl(2),
 *  PR_SET_CHILD_SUBREAPER). */
void csystem_adopt_orphans(void);

/** Has a descriptor closed in every child that fork(2) makes of this process from now on, whoever calls it.
 *  @param is_withheld 0: no longer; to be said before it is closed, as its number is another's then */
void csystem_withhold_from_forks(int descriptor, int is_withheld);

/** Names the process for ps(1) and top(1). @param name at most 15 bytes are kept */
void csystem_set_process_name(const char *name);

/** Gives the resident pages of the program's own code and constants back to the page cache, where
 *  whatever is used again is found again: what the start alone needed stays out. */
void csystem_release_code(void);

/** The exit status of wait(2), or 128 + the signal that ended the process. */
int csystem_exit_code(int wait_status);

/** open(2) relative to a directory, with a mode: variadic in C. */
int csystem_openat(int directory, const char *path, int flags, mode_t mode);

/** Opens a name of a directory without crossing a mount (openat2(2), RESOLVE_NO_XDEV): whatever another user
 *  has mounted there is not asked anything. Links are not followed either.
 *  @return the descriptor, -EXDEV for a mount, or another negated errno */
int csystem_open_within(int directory, const char *name, int flags, mode_t mode);

/** The same where the kernel has no openat2(2) (before Linux 5.6), for csystem_open_within and its tests: a mount
 *  is told by its number. */
int csystem_open_within_by_number(int directory, const char *name, int flags, mode_t mode);

/** The number of the mount that a descriptor lies on, as in /proc/self/mountinfo; asks no file system.
 *  @return -1: not known */
int csystem_mount_of(int descriptor);

/** pipe2(2), close-on-exec and non-blocking. @param ends the read end, then the write end */
int csystem_pipe(int ends[_Nonnull 2]);

/** accept4(2), close-on-exec and non-blocking, with the peer's address. */
int csystem_accept(int listener, struct sockaddr_storage *peer, socklen_t *length);

/** SO_PEERCRED of unix(7). @param user receives the user id of the peer when it connected */
int csystem_peer_user(int socket, uid_t *user);

/** splice(2) at the descriptors' own offsets, non-blocking. @return bytes moved, 0 at end of file */
ssize_t csystem_splice(int source, int target, size_t limit);

/** ppoll(2) for input on one descriptor, in the main thread of a program that keeps INT, QUIT, TERM
 *  and HUP blocked for a thread of its own to take: one of them ends the waiting, and that thread
 *  gets it afterwards. Those that are not blocked do what they do anyway.
 *  @return 1: there is something to read or the end; 0: the time is over; -EINTR: a signal came */
int csystem_poll_interruptibly(int descriptor, int milliseconds);

/** Makes children wait to be asked how they ended, also where SIGCHLD is ignored, which outlives exec: the
 *  kernel forgets them otherwise (wait(2)).
 *  @param before receives what was in force @return 1: it was changed; 0: it was so already */
int csystem_keep_children(struct sigaction *before);

/** Gives back what `csystem_keep_children` has changed; for a child that ended meanwhile too. */
void csystem_leave_children(const struct sigaction *before);

/** ioctl(TIOCGWINSZ) of a terminal. */
int csystem_terminal_size(int terminal, unsigned short *rows, unsigned short *columns);

/** O_PATH of open(2), which fcntl.h hides behind _GNU_SOURCE. */
static const int csystem_o_path = 010000000;

/** fcntl(F_SETPIPE_SZ). @return the capacity in bytes */
int csystem_set_pipe_capacity(int pipe, int bytes);

/** Sends one byte with one descriptor attached (SCM_RIGHTS), as OpenSSH's mm_send_fd does. */
int csystem_send_descriptor(int socket, int descriptor);

/** A command line for /bin/sh, one of very many. All pointers and descriptors are borrowed for the call. */
struct csystem_task {
	const char *command;                   /**< passed as one argument behind `sh -c` */
	char *_Nullable const *_Nonnull envp;  /**< environment, NULL-terminated */
	int input, output, error;              /**< become 0, 1, 2; every other descriptor is close-on-exec */
};

/** Starts `sh -c COMMAND` as the leader of a process group. The kernel kills it with its parent, and before its
 *  parent when memory runs out.
 *  @return its process id, or the negated errno */
pid_t csystem_start_task(const struct csystem_task *task);

/** How a child ended, and what it used (wait4(2)). */
struct csystem_end {
	int exit_status;                /**< 0 if a signal ended it */
	int signal_number;              /**< 0 if it exited */
	int64_t processor_microseconds; /**< user and system time, its own children's included */
	int64_t peak_kilobytes;         /**< largest resident set */
};

/** Reaps one child that has ended, without waiting.
 *  @return its process id, or 0 if no child has ended */
pid_t csystem_reap(struct csystem_end *end);

/** Locks a whole file for writing until its last descriptor is closed (fcntl(2), F_OFD_SETLK), without waiting. */
int csystem_lock_file(int file);

/** The number of processors that this process may use (sched_getaffinity(2)), at least 1. */
int csystem_processor_count(void);

/** Opens a file without a name (open(2), O_TMPFILE). @return its descriptor */
int csystem_temporary_file(const char *directory);

#ifdef __clang__
#pragma clang assume_nonnull end
#endif
#endif
