/* Runs a command as on a kernel that lacks something (seccomp(2)):
 *
 *   without sock_diag COMMAND...   nobody is told who connects (sock_diag(7))
 *   without openat2 COMMAND...     Linux before 5.6 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NUMBER offsetof(struct seccomp_data, nr)
#define ARGUMENT(number) offsetof(struct seccomp_data, args[number])
#define LOAD(what) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, what)
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, value)

int main(int count, char **words)
{
	struct sock_filter sockets[] = {
		LOAD(NUMBER), UNLESS(SYS_socket, 5),
		LOAD(ARGUMENT(0)), UNLESS(AF_NETLINK, 3),
		LOAD(ARGUMENT(2)), UNLESS(NETLINK_SOCK_DIAG, 1),
		ANSWER(SECCOMP_RET_ERRNO | EPROTONOSUPPORT), ANSWER(SECCOMP_RET_ALLOW),
	};
	struct sock_filter opens[] = {
		LOAD(NUMBER), UNLESS(437, 1),
		ANSWER(SECCOMP_RET_ERRNO | ENOSYS), ANSWER(SECCOMP_RET_ALLOW),
	};
	int is_open = count > 2 && strcmp(words[1], "openat2") == 0;
	struct sock_fprog program = {
		.len = is_open ? sizeof opens / sizeof *opens : sizeof sockets / sizeof *sockets,
		.filter = is_open ? opens : sockets,
	};

	if (count < 3 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		return 2;
	execvp(words[2], words + 2);
	perror(words[2]);
	return 1;
}
