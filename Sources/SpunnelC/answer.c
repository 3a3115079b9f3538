/* Reads sbatch's answer on its way to standard output.
 *
 * SPANK tells a plugin in sbatch neither the job's number nor whether a job exists. sbatch's own
 * answer does, and sbatch prints it only after slurmctld has accepted the job. In the GNU C
 * library `stdout` is a variable (its manual, "Standard Streams"). The stream that we put there
 * passes everything on unchanged. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

static struct {
	FILE *stream;
	pid_t process;
	void (*heard)(uint32_t job);
	char line[4096];  /* text that is not written yet */
	size_t length;
	int is_rest;      /* the text continues a line that was too long */
	int is_finished;
	int is_telling;   /* `heard` runs */
} self;

/* Parses `Submitted batch job 12`, or `12` with --parsable, both perhaps followed by a cluster's
 * name (sbatch.c, main; the same from 20.11 to 26.05). Returns 0 for any other line. */
static uint32_t told_number(const char *line)
{
	static const char words[] = "Submitted batch job ";
	int is_sentence = strncmp(line, words, sizeof words - 1) == 0;
	const char *digits = is_sentence ? line + sizeof words - 1 : line;
	size_t count = strspn(digits, "0123456789");
	const char *end = digits + count;
	unsigned long long number;

	if (count == 0 || count > sizeof "4294967295" - 1)
		return 0;
	if (*end != '\0' && strncmp(end, is_sentence ? " on cluster " : ";", is_sentence ? 12 : 1) != 0)
		return 0;
	number = strtoull(digits, NULL, 10);
	return number <= UINT32_MAX ? (uint32_t)number : 0;
}

/* Writes text. Returns 0, or -1 (errno). */
static int write_out(const char *text, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t count = write(STDOUT_FILENO, text + done, size - done);

		if (count < 0 && errno != EINTR)
			return -1;
		done += count > 0 ? (size_t)count : 0;
	}
	return 0;
}

/* The same with SIGPIPE held back: if it would have ended the process, *is_cut is set. */
static int write_quietly(const char *text, size_t size, int *is_cut)
{
	const struct timespec now = {0};
	sigset_t broken, before;
	int result, code;

	sigemptyset(&broken);
	sigaddset(&broken, SIGPIPE);
	(void)sigprocmask(SIG_BLOCK, &broken, &before);
	result = write_out(text, size);
	code = errno;
	*is_cut = result != 0 && code == EPIPE && !sigismember(&before, SIGPIPE);
	if (*is_cut)
		(void)sigtimedwait(&broken, NULL, &now);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	errno = code;
	return result;
}

/* Writes the line and parses it. The answer counts even if it could not be written: only then does a broken pipe end
 * sbatch. */
static int end_line(int is_whole)
{
	void (*heard)(uint32_t job) = self.heard;
	int is_cut, result = write_quietly(self.line, self.length, &is_cut);
	int code = errno;
	uint32_t job = 0;

	if (is_whole && !self.is_rest) {
		self.line[self.length - 1] = '\0';
		job = told_number(self.line);
	}
	self.is_rest = !is_whole;
	self.length = 0;
	if (job != 0 && heard != NULL && self.process == getpid()) {
		self.heard = NULL;
		self.is_telling = 1;
		heard(job);
		self.is_telling = 0;
	}
	if (is_cut)
		(void)raise(SIGPIPE);
	errno = code;
	return result;
}

/* Takes text as a stream of fopencookie(3) does. Lines are held here and not in the stream:
 * Slurm's log flushes stdout, even from within `heard`, and a stream that is being flushed
 * writes its text again, which is left out. A line is written whole, as sbatch prints its answer in parts and many sbatch may share one
 * pipe. */
static ssize_t pass_on(void *cookie, const char *text, size_t size)
{
	int result = 0;

	(void)cookie;
	if (self.is_telling)
		return (ssize_t)size;
	for (size_t index = 0; index < size; index++) {
		int is_whole = text[index] == '\n';

		self.line[self.length++] = text[index];
		if (is_whole || self.length == sizeof self.line)
			result |= end_line(is_whole);
	}
	if (self.is_finished && self.length > 0)
		result |= end_line(0);
	return result == 0 ? (ssize_t)size : 0;
}

int answer_await(void (*heard)(uint32_t job))
{
	const cookie_io_functions_t functions = {.write = pass_on};

	self.process = getpid();
	self.heard = heard;
	if (self.stream != NULL)
		return 0;
	self.stream = fopencookie(NULL, "w", functions);
	if (self.stream == NULL)
		return -1;
	(void)setvbuf(self.stream, NULL, _IONBF, 0);
	(void)fflush(stdout);
	stdout = self.stream;
	return 0;
}

void answer_finish(void)
{
	self.heard = NULL;
	self.is_finished = 1;
	if (self.length > 0)
		(void)end_line(0);
}
