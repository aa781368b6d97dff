/* Several updates in one message: an array of objects, one after the other. */
#ifndef EVENTS_H
#define EVENTS_H

#include "json.h"
#include "update.h"

/* Notes where the array is, which is part of a text of JSON. */
void events_begin(update *out, const struct json_value *array);

/* Returns 1 with the next one, 0 where there is none any more, or BOOKS_EMALFORMED where it is no object. */
int events_next(update *of, struct json_value *event);

#endif
