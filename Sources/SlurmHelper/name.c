/* Parses a job's name on the command line strictly. */
#include <stdint.h>
#include <string.h>

#include "../CSlurm/slurm-versions.h"
#include "jobs.h"

/* Parses digits and moves to the first other character. */
static int read_number(const char **text, uint32_t limit, uint32_t *number)
{
	const char *at = *text;
	uint64_t value = 0;

	if (*at < '0' || *at > '9')
		return -1;
	for (; *at >= '0' && *at <= '9'; at++) {
		value = value * 10 + (uint64_t)(*at - '0');
		if (value >= limit)
			return -1;
	}
	*text = at;
	*number = (uint32_t)value;
	return 0;
}

int read_whole_number(const char *text, uint32_t limit, uint32_t *number)
{
	return read_number(&text, limit, number) == 0 && *text == '\0' ? 0 : -1;
}

static int read_step(const char *text, uint32_t *step)
{
	static const struct {
		const char *name;
		uint32_t number;
	} special[] = {
		{"batch", SLURM_BATCH_SCRIPT},
		{"extern", SLURM_EXTERN_CONT},
		{"interactive", SLURM_INTERACTIVE_STEP},
	};

	for (size_t index = 0; index < sizeof special / sizeof *special; index++) {
		if (strcmp(text, special[index].name) == 0) {
			*step = special[index].number;
			return 0;
		}
	}
	return read_whole_number(text, SLURM_MAX_NORMAL_STEP_ID, step);
}

int job_name_read(const char *text, struct job_name *name)
{
	*name = (struct job_name){
		.text = text, .task = NO_VAL, .component = NO_VAL, .step = NO_VAL};
	if (read_number(&text, NO_VAL, &name->job) < 0 || name->job == 0)
		return -1;
	if (*text == '_' && (text++, read_number(&text, NO_VAL, &name->task) < 0))
		return -1;
	else if (*text == '+' && (text++, read_number(&text, NO_VAL, &name->component) < 0))
		return -1;
	if (*text == '.')
		return read_step(text + 1, &name->step);
	return *text == '\0' ? 0 : -1;
}
