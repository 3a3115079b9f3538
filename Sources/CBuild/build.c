/* Which source this program was built from, as the Makefile has found out. A macro, so in C. */
#include "build.h"

#if __has_include("../../build/version.h")
#include "../../build/version.h"
#endif

#ifndef SPUNNEL_BUILD
#define SPUNNEL_BUILD ""
#endif

const char *spunnel_build(void)
{
	return SPUNNEL_BUILD;
}
