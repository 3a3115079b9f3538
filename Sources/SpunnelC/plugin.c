/* The SPANK plugin (spank(8)): the functions that Slurm calls.
 *
 * Every srun, salloc, sbatch, slurmd and slurmstepd of a cluster loads this file, the last two as
 * root. In these two the plugin only registers its option, because Slurm would warn otherwise. The
 * core is loaded only in srun, salloc and sbatch, and only if a tunnel was requested. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <slurm/slurm.h>
#include <slurm/slurm_errno.h>
#include <slurm/spank.h>

#include "shim.h"

SPANK_PLUGIN(spunnel, 1)

/* The variable in which Slurm passes the option to salloc's children: its own prefix, the plugin's
 * name and the option's name. */
#define INHERITED_OPTION "SLURM_SPANK__SLURM_SPANK_OPTION_spunnel_tunnel"

/* A spec for every srun of the user without --tunnel. */
#define DEFAULT_SPEC "SPUNNEL_TUNNEL"

static struct {
	spank_context_t context;
	pid_t process;          /* the process that Slurm has initialised; a fork of it is ignored */
	int argument_count;
	char **arguments;       /* Slurm's, valid as long as the plugin stack */
	char *inherited;        /* a spec from the environment that is not claimed yet */
	int calls;              /* number of calls of the option's callback */
	int claimed;            /* a spec, from the command line or the environment */
} self;

static void say(enum spunnel_level level, const char *line)
{
	if (level == SPUNNEL_ERROR)
		slurm_error("%s", line);
	/* slurm_spank_log writes at error level (log.c), so --quiet would not silence it. */
	else if (!program_is_quiet())
		slurm_spank_log("%s", line);
}

static struct spunnel_host host(void)
{
	struct spunnel_host host = {
		.directory = core_directory(),
		.argument_count = self.argument_count,
		.arguments = self.arguments,
		.is_node = self.context == S_CTX_ALLOCATOR && program_runs_on_node(),
		.say = say,
	};

	return host;
}

/* Whether a spec comes from the environment. Slurm replays the option first from the environment
 * and then from the command line. It repeats this for each component of a heterogeneous job. A
 * replayed spec is the variable itself (plugstack.c, spank_process_env_options). */
static int is_inherited(const char *spec)
{
	const char *inherited = getenv(INHERITED_OPTION);

	return inherited != NULL && (spec == inherited || self.calls == 1);
}

/* Whether this srun runs on a compute node: a tunnel would begin at the wrong host there. */
static int on_compute_node(void)
{
	return getenv("SLURMD_NODENAME") != NULL;
}

/* With --no-shell salloc starts nothing that could have the tunnel, and ends before it knows a step. */
static void say_no_shell(void)
{
	if (self.calls == 1 && program_has_option("--no-shell"))
		say(SPUNNEL_INFO, "spunnel: salloc --no-shell starts no srun, so there is no tunnel yet: type "
				  "spunnelctl open JOB SPEC with the number that salloc tells, or srun "
				  "--jobid JOB --tunnel SPEC");
}

static int in_allocator(const char *spec, const struct spunnel_host *host)
{
	const struct core *core;
	char line[512];

	if (is_inherited(spec))
		return 0;
	switch (allocator_program()) {
	case ALLOCATOR_SBATCH:
		return submission_claim(spec, host);
	case ALLOCATOR_SALLOC:
		/* salloc passes the option on to its srun; here the spec is only checked. */
		core = core_load(host);
		if (core == NULL || core->check(spec, host) != 0)
			return -1;
		say_no_shell();
		return 0;
	case ALLOCATOR_SCRONTAB:
		say(SPUNNEL_ERROR, "spunnel: --tunnel: a job of scrontab runs long after scrontab, so it has no "
				   "tunnel: leave the option out, and type spunnelctl open JOB SPEC when the "
				   "job runs");
		return -1;
	default:
		(void)snprintf(line, sizeof line, "spunnel: --tunnel: '%s' is neither sbatch nor salloc, as far "
			       "as can be seen: give --tunnel to one of these, or to srun",
			       program_invocation_short_name);
		say(SPUNNEL_ERROR, line);
		return -1;
	}
}

static int in_srun(const char *spec, const struct spunnel_host *host)
{
	const struct core *core;

	free(self.inherited);
	self.inherited = NULL;
	if (is_inherited(spec)) {
		if (on_compute_node() || self.claimed)
			return 0;
		/* The command line may give another spec later; see slurm_spank_init_post_opt. */
		self.inherited = strdup(spec);
		return self.inherited != NULL ? 0 : -1;
	}
	self.claimed = 1;
	core = core_load(host);
	return core != NULL ? core->claim(spec, SPUNNEL_TYPED, host) : -1;
}

/* Takes --tunnel; slurmstepd calls it for srun's option too. An error from here ends the command
 * before anything is queued, even if plugstack.conf says "optional". */
static int take_option(int value, const char *spec, int remote)
{
	struct spunnel_host ours;

	(void)value;
	if (remote || spec == NULL)
		return 0;
	self.calls++;
	ours = host();
	switch (self.context) {
	case S_CTX_LOCAL:
		return in_srun(spec, &ours);
	case S_CTX_ALLOCATOR:
		return in_allocator(spec, &ours);
	default:
		return 0;
	}
}

static struct spank_option tunnel_option = {
	.name = "tunnel",
	.arginfo = "spec",
	.usage = "reach ports of the job's nodes through ports of this host "
		 "while it runs: 8001:8000,8889:8888 for two ports of the first "
		 "node, :8000 for a free port here, 8001:n2:8000 for another "
		 "node; more in man spunnel",
	.has_arg = 1,
	.val = 0,
	.cb = take_option,
};

int slurm_spank_init(spank_t spank, int argument_count, char **arguments)
{
	self.context = spank_context();
	self.process = getpid();
	self.argument_count = argument_count;
	self.arguments = arguments;
	if (self.context == S_CTX_ALLOCATOR)
		export_begin();
	return spank_option_register(spank, &tunnel_option) == ESPANK_SUCCESS ? 0 : -1;
}

/* Claims the environment's spec once the command line is known to have none. One claim serves all
 * components of a heterogeneous job. */
static int claim_from_environment(void)
{
	const char *spec = self.inherited;
	enum spunnel_origin origin = SPUNNEL_INHERITED;
	struct spunnel_host ours;
	const struct core *core;
	int result;

	if (self.claimed)
		return 0;
	if (self.calls == 0 && !on_compute_node()) {
		origin = SPUNNEL_ENVIRONMENT;
		spec = getenv(DEFAULT_SPEC);
		if (spec != NULL && spec[0] == '\0')
			return 0;
	}
	if (spec == NULL)
		return 0;
	self.claimed = 1;
	ours = host();
	core = core_load(&ours);
	result = core != NULL ? core->claim(spec, origin, &ours) : -1;
	free(self.inherited);
	self.inherited = NULL;
	return result;
}

int slurm_spank_init_post_opt(spank_t spank, int argument_count, char **arguments)
{
	struct spunnel_host ours;

	(void)spank;
	(void)argument_count;
	(void)arguments;
	if (self.context == S_CTX_LOCAL)
		return claim_from_environment();
	if (self.context != S_CTX_ALLOCATOR)
		return 0;
	ours = host();
	export_check(&ours);
	return submission_settle(&ours);
}

/* The step's node if its allocation has only one: then slurmctld need not be asked. srun sets this
 * variable before the call, from slurmctld's answer (srun.c, setup_one_job_env; the same from
 * 20.11 to 26.05). If SLURM_JOB_NODELIST was set before, srun uses that value, which may belong to
 * another job. */
static char *only_node(void)
{
	const char *nodes = getenv("SLURM_NODELIST");

	if (nodes == NULL || nodes[0] == '\0' || nodes[strcspn(nodes, "[,")] != '\0' ||
	    getenv("SLURM_JOB_NODELIST") != NULL)
		return NULL;
	return strdup(nodes);
}

/* Finds the job, the step and its nodes, which the caller must free. Returns 0, or -1 after an
 * error was printed. */
static int ask_step(spank_t spank, uint32_t *job, uint32_t *step, char **nodes)
{
	char line[512];

	if (spank_get_item(spank, S_JOB_ID, job) != ESPANK_SUCCESS ||
	    spank_get_item(spank, S_JOB_STEPID, step) != ESPANK_SUCCESS) {
		say(SPUNNEL_ERROR, "spunnel: no tunnel: Slurm does not tell which step it is: open one with "
				   "spunnelctl open JOB SPEC");
		return -1;
	}
	*nodes = only_node();
	if (*nodes == NULL)
		*nodes = step_nodes(*job, *step);
	if (*nodes != NULL)
		return 0;
	(void)snprintf(line, sizeof line,
		       "spunnel: no tunnel: ask Slurm for the nodes of step %u.%u: %s: open one with "
		       "spunnelctl open %u SPEC", *job, *step, slurm_strerror(errno), *job);
	say(SPUNNEL_ERROR, line);
	return -1;
}

int slurm_spank_local_user_init(spank_t spank, int argument_count, char **arguments)
{
	const struct core *core = core_loaded();
	struct spunnel_host ours;
	uint32_t job, step;
	char *nodes;
	int result;

	(void)argument_count;
	(void)arguments;
	if (self.context != S_CTX_LOCAL || core == NULL)
		return 0;
	ours = host();
	if (ask_step(spank, &job, &step, &nodes) != 0) {
		core->close(&ours);
		return -1;
	}
	result = core->open(job, step, nodes, &ours);
	free(nodes);
	return result;
}

int slurm_spank_exit(spank_t spank, int argument_count, char **arguments)
{
	const struct core *core = core_loaded();
	struct spunnel_host ours;

	(void)spank;
	(void)argument_count;
	(void)arguments;
	/* Slurm calls this from atexit(3), so a fork of the command that calls exit(3) comes here
	 * too. */
	if (self.process != getpid())
		return 0;
	self.process = 0;
	if (core == NULL)
		return 0;
	ours = host();
	if (self.context == S_CTX_ALLOCATOR)
		submission_end(&ours);
	else
		core->close(&ours);
	return 0;
}
