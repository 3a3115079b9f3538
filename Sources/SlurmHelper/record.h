/* The format in which spunnel-jobs answers list, nodes, partitions and config. Programs read it.
 *
 * An answer is lines of fields, separated by tabs. The first field of a line tells its type:
 *
 *     F <tab> spunnel-jobs <tab> 1 <tab> KIND     the format's number, and the kind of the records
 *     C <tab> NAME …                              the names of the columns
 *     R <tab> VALUE …                             a record: a value for each column
 *     E <tab> COUNT                               the end, with the number of records
 *
 * An answer without an E line is incomplete. In a value each tab, newline, other control
 * character and backslash is written as `\xHH`. So a job's name cannot end a field or a line. Unknown
 * values are empty. Times are seconds since 1970. Memory is in MiB. Time limits are in minutes, or
 * `unlimited`. The format's number increases when a column changes its meaning or is removed. New
 * columns may be added at any time. */
#ifndef RECORD_H
#define RECORD_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "jobs.h"

/** A column: its name, and the function that writes its value. */
struct column {
	const char *name;
	void (*write)(const void *record);
};

/** Writes a text with escapes. NULL writes nothing. */
void put_text(const char *text);

/** Writes a number. */
void put_number(uint64_t value);

/** Writes a number. `none` is written as an empty value and `none` + 1 as `unlimited`: Slurm's
 *  NO_VAL and INFINITE are such pairs in each width. */
void put_limit(uint64_t value, uint64_t none);

/** Writes a time. 0 and values beyond any real time are written as empty. */
void put_time(time_t time);

/** Begins an answer.
 *  @param kind the kind of the records, such as "jobs"
 *  @param columns all columns; the last has no name
 *  @param chosen the names of the wanted columns, separated by commas; NULL: all
 *  @return 0, or -1 after a complaint about an unknown name */
int records_begin(const char *kind, const struct column *columns, const char *chosen);

/** Writes one record. */
void records_add(const void *record);

/** Writes the end.
 *  @return ENDING_DONE, or ENDING_FAILED after a complaint */
enum ending records_end(void);

#endif
