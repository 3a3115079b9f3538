/* The one format in which spunnel-jobs answers list, nodes, partitions and config. A program reads it.
 *
 * Lines of fields, with a tab between two. A line's first field says what it is:
 *
 *     F <tab> spunnel-jobs <tab> 1 <tab> KIND     the format's number, and what the records are
 *     C <tab> NAME …                              the names of the columns
 *     R <tab> VALUE …                             a record: a value for each column
 *     E <tab> COUNT                               the end, with the number of records
 *
 * An answer without an E line was cut. In a value each tab, newline, other control character and
 * backslash is `\xHH`: a job's name cannot end a field or a line. What is not known is empty. Times are
 * seconds since 1970, memory is in MiB, time limits are in minutes or `unlimited`. The number goes up
 * when a column changes its meaning or is taken away; new columns may come at any time. */
#ifndef RECORD_H
#define RECORD_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "jobs.h"

/** A column: its name, and what writes its value. */
struct column {
	const char *name;
	void (*write)(const void *record);
};

/** Puts a text, escaped; NULL is empty. */
void put_text(const char *text);

/** Puts a number. */
void put_number(uint64_t value);

/** Puts a number that is empty when it is `none`, and `unlimited` when it is one above, as Slurm's
 *  NO_VAL and INFINITE are in each width. */
void put_limit(uint64_t value, uint64_t none);

/** Puts a time; 0 and what no clock shows is empty. */
void put_time(time_t time);

/** Begins an answer.
 *  @param kind what the records are: "jobs"
 *  @param columns all that there are, ended by one without a name
 *  @param chosen the names of those that are wanted, with commas between them; NULL: all
 *  @return 0, or -1 after a complaint: a name is of no column */
int records_begin(const char *kind, const struct column *columns, const char *chosen);

/** Writes one record. */
void records_add(const void *record);

/** Writes the end.
 *  @return how the program ends: all was written, or it is complained */
enum ending records_end(void);

#endif
