/* libFuzzer as a library (llvm.org/docs/LibFuzzer.html): the program keeps its own main. */
#ifndef LIBFUZZER_H
#define LIBFUZZER_H

#include <stddef.h>
#include <stdint.h>

/** Runs the fuzzer with a command line, and returns its exit status.
 *  @param test called with each input; returns 0 */
int LLVMFuzzerRunDriver(int *_Nonnull argc, char *_Nullable *_Nonnull *_Nonnull argv,
			int (*_Nonnull test)(const uint8_t *_Nullable data, size_t size));

#endif
