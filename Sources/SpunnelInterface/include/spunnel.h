/* The contract between the SPANK plugin (C, Sources/SpunnelC) and the core (Swift, libSpunnel.so).
 *
 * The plugin finds these functions with dlsym(3) once a tunnel was asked for, in srun, salloc and
 * sbatch only; Swift implements them with `@c @implementation`, so that the compiler checks both sides.
 * None of them exits, starts a thread, or keeps a signal handler or a pointer that it was given. A signal
 * that ends the waiting for a tunnel is given back to srun. */
#ifndef SPUNNEL_H
#define SPUNNEL_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __clang__
#pragma clang assume_nonnull begin
#else
#define _Nullable
#define _Nonnull
#endif

/** What a line is, for whoever shows it. */
enum spunnel_level { SPUNNEL_INFO = 0, SPUNNEL_ERROR = 1 };

/** What the core is told about the process that loaded it. Borrowed for the call. */
struct spunnel_host {
	const char *directory;         /**< where spunnel.so and libSpunnel.so lie */
	int argument_count;            /**< of plugstack.conf's line */
	char *_Nullable const *_Nullable arguments;
	bool is_node;                  /**< whether jobs may run on this very host; told by sbatch alone */
	/** Shows the user one line, without newline and without prefix of its own. */
	void (*say)(enum spunnel_level level, const char *line);
};

/** How the spec reached the process. */
enum spunnel_origin {
	SPUNNEL_TYPED = 0,       /**< on this command's line */
	SPUNNEL_INHERITED = 1,   /**< through the environment, from the salloc around this srun */
	SPUNNEL_ENVIRONMENT = 2, /**< in SPUNNEL_TUNNEL, which the user has set for every srun */
	SPUNNEL_SUBMITTED = 3,   /**< on this command's line, for a batch job */
};

/** Reads spec and arguments and says what is wrong with them.
 *  @return 0, or -1 after an error was said */
int spunnel_check(const char *spec, const struct spunnel_host *host);

/** Reads spec and arguments and binds the submit ports. For a batch job it chooses the ports that the spec leaves
 *  open, and puts what the job is to know into the environment.
 *  Unless it was typed, a port that is in use is no error: one line says so, and `spunnel_open`
 *  will do nothing. Errors name the option, or SPUNNEL_TUNNEL if that was it.
 *  A second claim with another spec is an error.
 *  @return 0, or -1 after an error was said */
int spunnel_claim(const char *spec, enum spunnel_origin origin, const struct spunnel_host *host);

/** Starts the keeper for the claimed ports and waits until the tunnel is ready or has failed, at
 *  most `timeout=` seconds, and three more for a keeper that hangs. Without a claim it does nothing.
 *  @param nodes the step's node names, first node first, separated by commas
 *  @return 0, or -1 after an error was said */
int spunnel_open(uint32_t job, uint32_t step, const char *nodes, const struct spunnel_host *host);

/** Starts a keeper for the claimed ports that waits for the job, serves it while it runs, also after
 *  it was requeued, and ends with it. The claim is the keeper's from then on. Waits for the keeper's
 *  first word, at most three seconds; in a login of systemd's for up to three of its commands before,
 *  at most two seconds each. Without a claim it does nothing.
 *  @return 0, or -1 after an error was said */
int spunnel_follow(uint32_t job, const struct spunnel_host *host);

/** Ends the tunnel and gives up the claim; returns when the ports are free again, or after two
 *  seconds. Why a tunnel that nobody waited for never came up is said here, as an error: the job is over.
 *  Does nothing in a process that did not make the claim, such as a fork of it. */
void spunnel_close(const struct spunnel_host *host);

#ifdef __clang__
#pragma clang assume_nonnull end
#endif
#endif
