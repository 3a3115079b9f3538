/* Stands for Slurm's header; see slurm.h beside it. */
#ifndef SPANK_H
#define SPANK_H

#include <slurm/slurm_errno.h>

typedef enum spank_context { CONTEXTS(ENUMERATOR) } spank_context_t;
typedef enum spank_item { ITEMS(ENUMERATOR) } spank_item_t;

/* What a call returns was SPANK's own until 20.11. */
#if SINCE(21, 8)
typedef slurm_err_t spank_err_t;
#else
typedef enum spank_err { ESPANK_SUCCESS = 0 } spank_err_t;
#endif

typedef struct spank_handle *spank_t;
typedef int (*spank_opt_cb_f)(int value, const char *argument, int remote);

#define OPTION_MEMBER(type, name) type name;
struct spank_option { OPTION_MEMBERS(OPTION_MEMBER) };

SPANK_FUNCTIONS(DECLARED)

#define SPANK_PLUGIN(name, version) \
	const char plugin_name[] = #name; \
	const char plugin_type[] = "spank"; \
	const unsigned int plugin_version = version;

#endif
