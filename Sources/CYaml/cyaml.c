/* Reads YAML with libyaml; see cyaml.h. */
#include "cyaml.h"

#include <stdio.h>
#include <yaml.h>

static int hand_over(const yaml_event_t *event, int (*take)(void *, const struct cyaml_event *),
		     void *context)
{
	struct cyaml_event told = {
		.line = event->start_mark.line + 1,
		.column = event->start_mark.column + 1,
	};

	switch (event->type) {
	case YAML_SCALAR_EVENT:
		told.kind = CYAML_SCALAR;
		told.text = (const char *)event->data.scalar.value;
		told.length = event->data.scalar.length;
		told.is_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
		break;
	case YAML_MAPPING_START_EVENT: told.kind = CYAML_MAPPING_START; break;
	case YAML_MAPPING_END_EVENT: told.kind = CYAML_MAPPING_END; break;
	case YAML_SEQUENCE_START_EVENT: told.kind = CYAML_SEQUENCE_START; break;
	case YAML_SEQUENCE_END_EVENT: told.kind = CYAML_SEQUENCE_END; break;
	case YAML_ALIAS_EVENT: told.kind = CYAML_ALIAS; break;
	case YAML_DOCUMENT_START_EVENT: told.kind = CYAML_DOCUMENT; break;
	default: return 0;
	}
	return take(context, &told);
}

int cyaml_read(const char *text, size_t length,
	       int (*take)(void *context, const struct cyaml_event *event), void *context,
	       struct cyaml_problem *problem)
{
	yaml_parser_t parser;
	yaml_event_t event;
	int result = 0, is_end = 0;

	if (!yaml_parser_initialize(&parser)) {
		*problem = (struct cyaml_problem){.text = "no memory left"};
		return -1;
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
	while (result == 0 && !is_end) {
		if (!yaml_parser_parse(&parser, &event)) {
			(void)snprintf(problem->text, sizeof problem->text, "%s",
				       parser.problem != NULL ? parser.problem : "no YAML");
			problem->line = parser.problem_mark.line + 1;
			problem->column = parser.problem_mark.column + 1;
			result = -1;
			break;
		}
		is_end = event.type == YAML_STREAM_END_EVENT;
		result = hand_over(&event, take, context);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return result;
}
