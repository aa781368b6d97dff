/* Law: reads the caller's bytes, makes no system call, allocates nothing, keeps nothing.
 *
 * Finds a member of an object that the scanner cut: it begins with '{', ends with '}', and may be malformed in
 * between. */
#ifndef JSON_MEMBER_H
#define JSON_MEMBER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct json_span {
    const uint8_t *bytes;
    size_t length;
};

enum json_found { JSON_ABSENT, JSON_STRING, JSON_OTHER };

/* Looks for the first top-level member `name`, in any order of members, with any white space. JSON_STRING: *value is
 * what stands between the quotes, raw. JSON_OTHER: its value is none; *value is from its first byte to the object's
 * end. */
enum json_found json_find_member(const uint8_t *object, size_t length, const char *name, struct json_span *value);

/* The same for a member of any kind: a string is what stands between its quotes, any other value all of its bytes.
 * Answers 0 where there is none. */
int json_find_text(const uint8_t *object, size_t length, const char *name, struct json_span *text);

static inline int json_find_string(const uint8_t *object, size_t length, const char *name, struct json_span *value)
{
    return json_find_member(object, length, name, value) == JSON_STRING;
}

/* A string whose first byte behind the quote is *begin, in a record that ends in '}' somewhere behind. Answers 1 where
 * nothing in it is escaped or looks like that end. */
static inline int json_plain_string(const uint8_t *begin, struct json_span *value)
{
    const uint8_t *at = begin;
    while (*at != '"' && *at != '\\' && *at != '}')
        at++;
    if (*at != '"')
        return 0;
    *value = (struct json_span){begin, (size_t)(at - begin)};
    return 1;
}

/* Of a value that is JSON_OTHER: makes *value what begins with the object that it is, or that is the first element of
 * the array that it is, and goes on to where *value ended: it may be looked into like an object. Answers 0 where there
 * is none. */
int json_first_object(struct json_span *value);

static inline int json_has_member(const uint8_t *object, size_t length, const char *name)
{
    struct json_span ignored;
    return json_find_member(object, length, name, &ignored) != JSON_ABSENT;
}

static inline int json_span_is(const struct json_span *span, const char *text)
{
    return span->length == strlen(text) && !memcmp(span->bytes, text, span->length);
}

#endif
