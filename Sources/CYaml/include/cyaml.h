/* Reads YAML with libyaml and hands over its events. C, as libyaml's events are unions. */
#ifndef CYAML_H
#define CYAML_H

#include <stddef.h>

enum cyaml_kind {
	CYAML_SCALAR,
	CYAML_MAPPING_START,
	CYAML_MAPPING_END,
	CYAML_SEQUENCE_START,
	CYAML_SEQUENCE_END,
	CYAML_ALIAS,
	CYAML_DOCUMENT, /* the start of one */
};

struct cyaml_event {
	enum cyaml_kind kind;
	const char *text; /* of a scalar, borrowed until the call returns */
	size_t length;
	int is_quoted;
	size_t line, column; /* from 1 */
};

/** What is wrong with the text. */
struct cyaml_problem {
	char text[200];
	size_t line, column; /* from 1 */
};

/** Reads a whole text.
 *  @param take called for each event; reading ends when it returns anything but 0
 *  @param problem filled when -1 is returned
 *  @return 0, -1 when the text is no YAML, or what `take` returned */
int cyaml_read(const char *text, size_t length,
	       int (*take)(void *context, const struct cyaml_event *event), void *context,
	       struct cyaml_problem *problem);

#endif
