/* Law: reads the caller's bytes, makes no system call, allocates nothing, keeps nothing.
 *
 * An object of JSON, member by member, as strict as orjson (the tests compare them): RFC 8259, UTF-8 without surrogates, no number beyond the
 * doubles, no more than JSON_DEPTH_MAX objects and arrays inside each other. */
#ifndef JSON_H
#define JSON_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "number.h"

enum {
    JSON_DEPTH_MAX = 1024,
    JSON_WORD_BYTES = 7,
    JSON_ESCAPE_BYTES = 6 /* the longest escape of one byte */
};

enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* A value's own bytes; a string's are those between its quotes. */
struct json_value {
    const uint8_t *bytes;
    size_t length;
    uint8_t type;
    uint8_t has_escapes;
    struct number number; /* of a number alone */
};

struct json_reader {
    const uint8_t *at;
    const uint8_t *end;
    uint8_t is_begun;
};

static inline struct json_reader json_reader(const uint8_t *text, size_t length)
{
    return (struct json_reader){text, text + length, 0};
}

/* Reads the next member of the object that is the whole text. Returns 1 with it, 0 where the object and the text have ended, or -1 where
 * the text is not an object (all that was read before must be forgotten then). */
int json_next_member(struct json_reader *reader, struct json_value *name, struct json_value *value);

/* Reads the value that comes next, whatever it is. Returns 1, or 0 where what stands there is none. */
int json_take_value(struct json_reader *reader, struct json_value *value);

/* Reads the next item of an array that json_next_member() gave; `reader` is over the array's bytes. Returns 1 or 0. */
int json_next_item(struct json_reader *reader, struct json_value *item);

/* Writes what a string says, its escapes resolved, to `to`, which holds value->length bytes. Returns how many it wrote. */
size_t json_unescape(const struct json_value *string, uint8_t *to);

/* A short string, its escapes resolved, as one number, its first byte the lowest; 0 for one that is empty, longer than JSON_WORD_BYTES, or
 * has a NUL in it. */
uint64_t json_word(const struct json_value *string);

#endif
