/* Stands for libSpunnel.so: says what the plugin asks of it, and binds and starts nothing.
 * A spec that begins with "bad" is refused. */
#include <stdio.h>
#include <string.h>

#include "spunnel.h"

static void say(const struct spunnel_host *host, const char *text)
{
	host->say(SPUNNEL_INFO, text);
}

int spunnel_check(const char *spec, const struct spunnel_host *host)
{
	char line[256];

	(void)snprintf(line, sizeof line, "core: check %s", spec);
	say(host, line);
	return 0;
}

int spunnel_claim(const char *spec, enum spunnel_origin origin, const struct spunnel_host *host)
{
	static const char *const origins[] = {"typed", "inherited", "environment", "submitted"};
	char line[256];

	(void)snprintf(line, sizeof line, "core: claim %s %s", spec, origins[origin]);
	say(host, line);
	return strncmp(spec, "bad", 3) == 0 ? -1 : 0;
}

int spunnel_open(uint32_t job, uint32_t step, const char *nodes, const struct spunnel_host *host)
{
	char line[256];

	(void)job;
	(void)step;
	(void)snprintf(line, sizeof line, "core: open %s", nodes);
	say(host, line);
	return 0;
}

int spunnel_follow(uint32_t job, const struct spunnel_host *host)
{
	char line[256];

	(void)snprintf(line, sizeof line, "core: follow %u", job);
	say(host, line);
	return 0;
}

void spunnel_close(const struct spunnel_host *host)
{
	(void)host;
	(void)fputs("core: close\n", stderr);
}
