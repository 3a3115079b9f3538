/* Which source this program was built from, as the Makefile has found out. A macro, so in C. */
#include "build.h"

#if __has_include("../../build/version.h")
#include "../../build/version.h"
#endif

#ifndef SPUNNEL_BUILD
#define SPUNNEL_BUILD ""
#endif

/* In each program's file, so that spunnelctl doctor finds out which build it is of. */
__attribute__((used, retain)) static const char mark[] =
	"spunnel-build<" SPUNNEL_BUILD ">";

const char *spunnel_build(void)
{
	return SPUNNEL_BUILD;
}
