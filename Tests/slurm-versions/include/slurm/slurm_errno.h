/* Stands for Slurm's header; see slurm.h beside it. */
#ifndef SLURM_ERRNO_H
#define SLURM_ERRNO_H

#ifndef SLURM_VERSION_NUMBER
#define SLURM_VERSION_NUMBER RELEASE
#endif

#include "../../declarations.h"

#define ENUMERATOR(name, value) name = value,

typedef enum { ERRORS(ENUMERATOR) } slurm_err_t;

ERROR_FUNCTIONS(DECLARED)

#if SINCE(21, 8)
#define ESPANK_SUCCESS 0
#endif

#endif
