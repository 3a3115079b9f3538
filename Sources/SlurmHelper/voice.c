/* Error messages: one line, either this program's own or the last line of Slurm's library. The
 * library also writes to standard error, and ends the program if it has no configuration. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../CSlurm/slurm-versions.h"
#include "jobs.h"

static int user = STDERR_FILENO;
static int has_ended;

void complain(const char *format, ...)
{
	char line[1024];
	va_list values;

	va_start(values, format);
	(void)vsnprintf(line, sizeof line, format, values);
	va_end(values);
	(void)dprintf(user, "spunnel-jobs: %s\n", line);
}

void complain_of_slurm(const struct job_name *name)
{
	complain("ask Slurm about job '%s': %s: try again later, or see whether squeue works here",
		 name->text, slurm_strerror(errno));
}

enum ending complain_of_request(const char *what)
{
	complain("ask Slurm for %s: %s: try again later, or see whether squeue works here", what,
		 slurm_strerror(errno));
	return ENDING_FAILED;
}

/* Prints the library's last line, if the library has called exit(3). */
static void pass_on_last_words(void)
{
	char text[1024], *line, *end, *fatal;
	ssize_t length;

	if (has_ended)
		return;
	length = pread(STDERR_FILENO, text, sizeof text - 1, 0);
	text[length > 0 ? length : 0] = '\0';
	for (end = strchr(text, '\0'); end > text && end[-1] == '\n'; end--)
		end[-1] = '\0';
	line = strrchr(text, '\n');
	line = line != NULL ? line + 1 : text;
	fatal = strstr(line, "fatal: ");
	if (fatal != NULL)
		line = fatal + strlen("fatal: ");
	complain("start Slurm's library: %s: see whether squeue works here",
		 *line != '\0' ? line : "it ended without a word");
}

void voice_start(void)
{
	int kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	int hidden = memfd_create("spunnel-jobs", MFD_CLOEXEC);

	if (kept >= 0 && hidden >= 0 && dup2(hidden, STDERR_FILENO) >= 0) {
		user = kept;
		(void)atexit(pass_on_last_words);
	}
	if (hidden >= 0)
		(void)close(hidden);
}

void voice_forget(void)
{
	if (user != STDERR_FILENO && ftruncate(STDERR_FILENO, 0) == 0)
		(void)lseek(STDERR_FILENO, 0, SEEK_SET);
}

void voice_end(void)
{
	has_ended = 1;
}
