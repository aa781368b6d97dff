/* Law: reads the caller's bytes, makes no system call, allocates nothing, keeps nothing.
 *
 * What the records of Polygon/Massive look like: which are the venue's own words, where an event has its shard key,
 * and how the usual ones begin. A record here is what the scanner cut: it begins with '{', ends with '}', and may be
 * malformed in between. */
#ifndef POLYGON_H
#define POLYGON_H

#include "json_member.h"
#include "layout.h"

#define POLYGON_EVENT "{\"ev\":\""
#define POLYGON_SYMBOL "\",\"sym\":\""
#define POLYGON_TRADE POLYGON_EVENT "T" POLYGON_SYMBOL

enum {
    POLYGON_LETTER_AT = sizeof POLYGON_EVENT - 1,
    POLYGON_NAME_AT = POLYGON_LETTER_AT + 1,
    POLYGON_TRADE_BYTES = sizeof POLYGON_TRADE - 1, /* also of any other event of one letter */
    POLYGON_KEY_END = '"'
};

_Static_assert(POLYGON_LETTER_AT == 3 + sizeof(uint32_t), "two loads of four bytes see all of the event's begin");
_Static_assert(POLYGON_TRADE_BYTES == POLYGON_NAME_AT + sizeof POLYGON_SYMBOL - 1, "the symbol is where it is sought");
_Static_assert('s' >= '\\' && 'Z' < '\\', "\"status\" is not dealt in a hurry, the market's are");

extern const struct layout polygon_layout;

/* The general forms of the two functions behind them: any order of members, any white space. */

static inline int polygon_is_notice_anywhere(const uint8_t *record, size_t length)
{
    struct json_span event;
    return json_find_string(record, length, "ev", &event) && json_span_is(&event, "status");
}

/* An event's shard key is a symbol or a pair, under the name its layout gives it. */
static const struct {
    const char *event;
    const char *member;
} polygon_key_members[] = {
    {"T", "sym"},   {"Q", "sym"},   {"A", "sym"},    {"AM", "sym"},   {"FMV", "sym"}, {"LV", "sym"},
    {"XT", "pair"}, {"XQ", "pair"}, {"XA", "pair"},  {"XL2", "pair"}, {"XAS", "pair"}, {"CA", "pair"},
    {"CAS", "pair"}, {"C", "p"},    {"LULD", "T"},   {"V", "T"},      {"NOI", "T"},
};

static inline int polygon_shard_key_anywhere(const uint8_t *record, size_t length, struct json_span *key)
{
    struct json_span event;
    if (json_find_string(record, length, "ev", &event))
        for (size_t i = 0; i < sizeof polygon_key_members / sizeof *polygon_key_members; i++)
            if (json_span_is(&event, polygon_key_members[i].event))
                return json_find_string(record, length, polygon_key_members[i].member, key);
    return json_find_string(record, length, "sym", key) || json_find_string(record, length, "pair", key) ||
           json_find_string(record, length, "T", key);
}

/* Whether the record is the venue's own word ("ev":"status") and none of the market's. */
static inline int polygon_is_notice(const uint8_t *record, size_t length)
{
    const int has_letter = length > POLYGON_LETTER_AT && !memcmp(record, POLYGON_EVENT, POLYGON_LETTER_AT);
    if (has_letter && record[POLYGON_LETTER_AT] != 's')
        return 0;
    return polygon_is_notice_anywhere(record, length);
}

/* Answers 1 with the symbol (or pair) that decides the pipe, 0 where the record has none. */
static inline int polygon_shard_key(const uint8_t *record, size_t length, struct json_span *key)
{
    if (length > POLYGON_TRADE_BYTES && !memcmp(record, POLYGON_TRADE, POLYGON_TRADE_BYTES) &&
        json_plain_string(record + POLYGON_TRADE_BYTES, key))
        return 1;
    return polygon_shard_key_anywhere(record, length, key);
}

/* What samples are told apart by. */
static inline int polygon_kind(const uint8_t *record, size_t length, struct json_span *kind)
{
    return json_find_string(record, length, "ev", kind);
}

/* A record is one flat object. */
static inline size_t polygon_flat_bytes(const uint8_t *record, size_t available)
{
    return scan_flat(record, available);
}

static inline uint32_t polygon_load(const void *bytes)
{
    uint32_t number;
    memcpy(&number, bytes, sizeof number);
    return number;
}

/* Whether the record begins like those that are dealt in a hurry. Two loads that overlap: memcmp() of seven bytes
 * takes more. */
static inline __attribute__((always_inline)) int polygon_is_quick(const uint8_t *record)
{
    return polygon_load(record) == polygon_load(POLYGON_EVENT) &&
           polygon_load(record + 3) == polygon_load(&POLYGON_EVENT[3]);
}

/* Where the key of such a record begins, up to POLYGON_KEY_END; NULL where it is no stock's or option's trade, quote
 * or aggregate. */
static inline __attribute__((always_inline)) const uint8_t *polygon_quick_key(const uint8_t *record)
{
    const uint8_t letter = record[POLYGON_LETTER_AT];
    if (memcmp(record + POLYGON_NAME_AT, POLYGON_SYMBOL, sizeof POLYGON_SYMBOL - 1))
        return NULL;
    return letter == 'T' || letter == 'Q' || letter == 'A' ? record + POLYGON_TRADE_BYTES : NULL;
}

/* The kind of a record that has such a key. */
static inline __attribute__((always_inline)) uint8_t polygon_quick_letter(const uint8_t *record)
{
    return record[POLYGON_LETTER_AT];
}

#endif
