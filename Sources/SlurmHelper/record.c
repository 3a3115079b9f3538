/* Writes answers in the format of record.h. */
#define _GNU_SOURCE
#include "record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MOST_COLUMNS = 96 };

static const struct column *chosen_columns[MOST_COLUMNS];
static size_t column_count;
static uint64_t record_count;

void put_text(const char *text)
{
	static const char digits[] = "0123456789abcdef";

	if (text == NULL)
		return;
	for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
		if (*at >= ' ' && *at != '\\' && *at != 127) {
			(void)putc_unlocked(*at, stdout);
			continue;
		}
		(void)putc_unlocked('\\', stdout);
		(void)putc_unlocked('x', stdout);
		(void)putc_unlocked(digits[*at >> 4], stdout);
		(void)putc_unlocked(digits[*at & 15], stdout);
	}
}

void put_number(uint64_t value)
{
	char text[24], *at = text + sizeof text;

	*--at = '\0';
	do
		*--at = (char)('0' + value % 10);
	while ((value /= 10) > 0);
	(void)fputs_unlocked(at, stdout);
}

void put_limit(uint64_t value, uint64_t none)
{
	if (value == none)
		return;
	if (value == none + 1)
		(void)fputs_unlocked("unlimited", stdout);
	else
		put_number(value);
}

void put_time(time_t time)
{
	/* NO_VAL and INFINITE also mean that there is no time. */
	if (time > 0 && time < 0xfffffff0)
		put_number((uint64_t)time);
}

/* Finds a column by its name, which ends at a comma or at the end of the text. */
static const struct column *find_column(const struct column *columns, const char *name, size_t length)
{
	for (; columns->name != NULL; columns++)
		if (strlen(columns->name) == length && memcmp(columns->name, name, length) == 0)
			return columns;
	return NULL;
}

static int choose(const struct column *columns, const char *names)
{
	column_count = 0;
	for (; names == NULL && columns->name != NULL && column_count < MOST_COLUMNS; columns++)
		chosen_columns[column_count++] = columns;
	while (names != NULL) {
		size_t length = strcspn(names, ",");
		const struct column *column = find_column(columns, names, length);

		if (column == NULL || column_count == MOST_COLUMNS) {
			complain("read the columns: '%.*s' is no column", (int)length, names);
			return -1;
		}
		chosen_columns[column_count++] = column;
		names = names[length] == ',' ? names + length + 1 : NULL;
	}
	return 0;
}

int records_begin(const char *kind, const struct column *columns, const char *chosen)
{
	if (choose(columns, chosen) != 0)
		return -1;
	record_count = 0;
	printf("F\tspunnel-jobs\t1\t%s\nC", kind);
	for (size_t index = 0; index < column_count; index++)
		printf("\t%s", chosen_columns[index]->name);
	(void)putchar('\n');
	return 0;
}

void records_add(const void *record)
{
	(void)putc_unlocked('R', stdout);
	for (size_t index = 0; index < column_count; index++) {
		(void)putc_unlocked('\t', stdout);
		chosen_columns[index]->write(record);
	}
	(void)putc_unlocked('\n', stdout);
	record_count++;
}

enum ending records_end(void)
{
	printf("E\t%" PRIu64 "\n", record_count);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return ENDING_DONE;
	complain("write the answer: %s", strerror(errno));
	return ENDING_FAILED;
}
