/* Preloaded before the address sanitizer, whose own vfork remembers one return alone: of two that stand in each
 * other, as the core starts its keeper, the outer one would return where the inner one did. Like vfork it runs
 * no handler of pthread_atfork(3). */
#define _GNU_SOURCE
#include <sys/types.h>
#include <unistd.h>

pid_t vfork(void)
{
	return _Fork();
}
