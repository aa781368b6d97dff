/* The members of an object that are asked for, in whatever order they stand among others. As strict about JSON as json.h. */
#ifndef MEMBERS_H
#define MEMBERS_H

#include "json.h"
#include "update.h"

/* `value` is null where there is none of that name; of several the last counts. */
struct member {
    const char *name;
    struct json_value value;
};

/* Fills in the values of the object that is the whole text. Returns 0, or BOOKS_EMALFORMED where the text is no object. */
int members_read(const uint8_t *object, size_t bytes, struct member *members, size_t count);

#define MEMBERS_READ(object, bytes, members) members_read(object, bytes, members, sizeof(members) / sizeof *(members))

/* How long a text is without the white space behind it. */
size_t text_bytes(const uint8_t *text, size_t bytes);

/* What a string says, where that has at most `room` bytes: in place, or in `spelled`, if it is written with escapes. Returns false of what is
 * no string or longer. */
bool string_read(const struct json_value *string, uint8_t *spelled, size_t room, const uint8_t **text, size_t *bytes);

bool string_is(const struct json_value *string, const char *text);

/* A number, or a string that says one: exactly, at that scale. Returns 0 or an error of update.h. */
int value_read_decimal(const struct json_value *value, unsigned decimals, int64_t *out);

/* The same for a whole number that is not negative. Returns false of what is none. */
bool value_read_count(const struct json_value *value, uint64_t *out);

#endif
