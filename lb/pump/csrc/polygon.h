/* Law: reads the caller's bytes, makes no system call, allocates nothing, keeps nothing.
 *
 * What the records of Polygon/Massive look like: which are status records, and where an event has its shard key.
 * A record here is what the scanner cut: it begins with '{', ends with '}', and may be malformed in between. */
#ifndef POLYGON_H
#define POLYGON_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct polygon_span {
    const uint8_t *bytes;
    size_t length;
};

/* Finds the top-level member `name` and answers 1 with its string value (raw, between the quotes), or 0: not there, or not a string. */
int polygon_find_string(const uint8_t *record, size_t length, const char *name, struct polygon_span *value);

/* The general forms of the two inline functions below: any order of members, any white space. */
int polygon_is_status_anywhere(const uint8_t *record, size_t length);
int polygon_shard_key_anywhere(const uint8_t *record, size_t length, struct polygon_span *key);

#define POLYGON_EVENT "{\"ev\":\""
#define POLYGON_TRADE "{\"ev\":\"T\",\"sym\":\""

enum { POLYGON_EVENT_BYTES = sizeof POLYGON_EVENT - 1, POLYGON_TRADE_BYTES = sizeof POLYGON_TRADE - 1 };

/* Whether the record is the feed's own word ("ev":"status") and none of the market's. */
static inline int polygon_is_status(const uint8_t *record, size_t length)
{
    if (length > POLYGON_EVENT_BYTES && !memcmp(record, POLYGON_EVENT, POLYGON_EVENT_BYTES) && record[POLYGON_EVENT_BYTES] != 's')
        return 0;
    return polygon_is_status_anywhere(record, length);
}

/* Answers 1 with the symbol (or pair) that decides the pipe, 0 where the record has none. */
static inline int polygon_shard_key(const uint8_t *record, size_t length, struct polygon_span *key)
{
    if (length > POLYGON_TRADE_BYTES && !memcmp(record, POLYGON_TRADE, POLYGON_TRADE_BYTES)) {
        const uint8_t *begin = record + POLYGON_TRADE_BYTES;
        const uint8_t *at = begin;
        while (*at != '"' && *at != '\\' && *at != '}')
            at++;
        if (*at == '"') {
            *key = (struct polygon_span){begin, (size_t)(at - begin)};
            return 1;
        }
    }
    return polygon_shard_key_anywhere(record, length, key);
}

#endif
