/* The contract between the SPANK plugin (C, Sources/SpunnelC) and the core (Swift, libSpunnel.so).
 *
 * The plugin finds these functions with dlsym(3) once a tunnel was requested, in srun, salloc and
 * sbatch only. Swift implements them with `@c @implementation`, so the compiler checks both sides.
 * No function exits the process, starts a thread, or keeps a signal handler or a given pointer. If
 * a signal ends the wait for a tunnel, the signal is sent to srun again. */
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

/** The importance of a line. */
enum spunnel_level { SPUNNEL_INFO = 0, SPUNNEL_ERROR = 1 };

/** Facts about the process that loaded the core. Borrowed for the call. */
struct spunnel_host {
	const char *directory;         /**< the folder of spunnel.so and libSpunnel.so */
	int argument_count;            /**< of the plugin's line in plugstack.conf */
	char *_Nullable const *_Nullable arguments;
	bool is_node;                  /**< whether jobs may run on this host; set in sbatch only */
	/** Shows the user one line. The line has no newline, and `say` adds no prefix of its own. */
	void (*say)(enum spunnel_level level, const char *line);
};

/** The way in which the spec reached the process. */
enum spunnel_origin {
	SPUNNEL_TYPED = 0,       /**< on this command's line */
	SPUNNEL_INHERITED = 1,   /**< through the environment, from the salloc around this srun */
	SPUNNEL_ENVIRONMENT = 2, /**< in SPUNNEL_TUNNEL, which the user has set for every srun */
	SPUNNEL_SUBMITTED = 3,   /**< on this command's line, for a batch job */
};

/** Checks the spec and the arguments, and prints what is wrong with them.
 *  @return 0, or -1 after an error was printed */
int spunnel_check(const char *spec, const struct spunnel_host *host);

/** Checks the spec and the arguments, and binds the submit ports. For a batch job it also chooses
 *  the ports that the spec leaves open, and sets the variables that the job needs.
 *  If a port is in use and the spec was not typed, this is not an error: one line says so, and
 *  `spunnel_open` will do nothing. Errors name the option, or SPUNNEL_TUNNEL if the spec came from
 *  there. A second claim with another spec is an error.
 *  @return 0, or -1 after an error was printed */
int spunnel_claim(const char *spec, enum spunnel_origin origin, const struct spunnel_host *host);

/** Starts the keeper for the claimed ports. Waits until the tunnel is ready or has failed, at most
 *  `timeout=` seconds, and three more seconds if the keeper hangs. Without a claim it does
 *  nothing.
 *  @param nodes the names of the step's nodes, the first node first, separated by commas
 *  @return 0, or -1 after an error was printed */
int spunnel_open(uint32_t job, uint32_t step, const char *nodes, const struct spunnel_host *host);

/** Starts a keeper for the claimed ports. The keeper waits for the job, serves it while it runs,
 *  also after a requeue, and ends with it. The keeper owns the claim from then on. This function
 *  waits for the keeper's first report, at most three seconds. In a systemd login it first runs up
 *  to three systemd commands, at most two seconds each. Without a claim it does nothing.
 *  @return 0, or -1 after an error was printed */
int spunnel_follow(uint32_t job, const struct spunnel_host *host);

/** Ends the tunnel and releases the claim. It returns when the ports are free again, or after two
 *  seconds. If srun did not wait for the tunnel and it never came up, the reason is printed here
 *  as an error. Does nothing in a process that did not make the claim, such as a fork. */
void spunnel_close(const struct spunnel_host *host);

#ifdef __clang__
#pragma clang assume_nonnull end
#endif
#endif
