/* --export in sbatch, on a cluster whose slurmd is not root.
 *
 * Unless sbatch exports its whole environment or nothing (--export=ALL, NIL), slurmd takes the job's environment from a
 * login shell that it starts by su(1). Since 25.05 a slurmd that is not root holds such a job for ever (env.c,
 * env_array_user_default; job_mgr.c, "user env retrieval failed requeued held"). sbatch tells the value of --export, of
 * whichever source, in SLURM_EXPORT_ENV before plugins hear that all options were read (sbatch's opt.c). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../CSlurm/slurm-versions.h"
#include "shim.h"

/* The argument in plugstack.conf of a cluster whose slurmd is not root. */
#define NO_LOGIN_ENVIRONMENT "login_env=no"

#define EXPORT "SLURM_EXPORT_ENV"

/* A variable of a job around sbatch, which says nothing of this sbatch. */
static int is_inherited;

void export_begin(void)
{
	is_inherited = getenv(EXPORT) != NULL;
}

static int has_argument(const struct spunnel_host *host, const char *word)
{
	for (int index = 0; index < host->argument_count; index++)
		if (strcmp(host->arguments[index], word) == 0)
			return 1;
	return 0;
}

void export_check(const struct spunnel_host *host)
{
	const char *value = getenv(EXPORT);
	char line[512];

	if (!SLURM_SINCE(25, 5) || is_inherited || value == NULL || strcasecmp(value, "NIL") == 0)
		return;
	if (!has_argument(host, NO_LOGIN_ENVIRONMENT))
		return;
	(void)snprintf(line, sizeof line,
		       "spunnel: --export=%.100s: Slurm would hold the job for ever, as the slurmd of this cluster is "
		       "not root and cannot make a login environment: type --export=NIL for an empty environment, or "
		       "leave --export out",
		       value);
	host->say(SPUNNEL_ERROR, line);
	/* sbatch goes on when an optional plugin fails here. Nothing is queued yet. */
	exit(EXIT_FAILURE);
}
