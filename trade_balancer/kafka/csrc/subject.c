#include "subject.h"

#include <stdbool.h>
#include <string.h>

#include "json.h"

/* In the venues' own words, see lb/feed/venues; a number of the same name (Polygon's p and s, Binance's T) is none. */
static const char *const EVENTS[] = {"ev", "e", "event", "type"};
static const char *const SYMBOLS[] = {"sym", "pair", "T", "p", "s", "product_id", "symbol", "stream", "channel"};

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define HEAD "{\"ev\":\""

static bool is_one_of(const char *const *names, size_t count, const struct json_value *name)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(names[i]) == name->length && memcmp(names[i], name->bytes, name->length) == 0)
            return true;
    return false;
}

/* The bytes up to a string's end, where they are no more than the rest of the record; no escapes here. */
static size_t plain_bytes(const uint8_t *text, const uint8_t *end)
{
    const uint8_t *at = text;
    while (at < end && *at != '"' && *at != '\\')
        at++;
    return at < end && *at == '"' ? (size_t)(at - text) : 0;
}

/* As Polygon writes most records: {"ev":"T","sym":"AAPL", and nothing more needs to be looked at. */
static bool head_says(const uint8_t *record, size_t bytes, struct subject *subject)
{
    const size_t head_bytes = sizeof HEAD - 1;
    const uint8_t *end = record + bytes;
    if (bytes < head_bytes || memcmp(record, HEAD, head_bytes) != 0)
        return false;
    subject->event = record + head_bytes;
    subject->event_bytes = plain_bytes(subject->event, end);
    const uint8_t *next = subject->event + subject->event_bytes;
    const size_t left = (size_t)(end - next);
    if (left > 9 && memcmp(next, "\",\"sym\":\"", 9) == 0)
        subject->symbol = next + 9;
    else if (left > 10 && memcmp(next, "\",\"pair\":\"", 10) == 0)
        subject->symbol = next + 10;
    else
        return false;
    subject->symbol_bytes = plain_bytes(subject->symbol, end);
    return subject->event_bytes && subject->symbol_bytes;
}

struct subject subject_of(const uint8_t *record, size_t bytes)
{
    struct subject subject = {0};
    if (head_says(record, bytes, &subject))
        return subject;
    subject = (struct subject){0};
    struct json_reader reader = json_reader(record, bytes);
    struct json_value name, value;
    while (!(subject.event && subject.symbol) && json_next_member(&reader, &name, &value) == 1) {
        if (value.type != JSON_STRING || value.length == 0)
            continue;
        if (!subject.event && is_one_of(EVENTS, LENGTH(EVENTS), &name)) {
            subject.event = value.bytes;
            subject.event_bytes = value.length;
        } else if (!subject.symbol && is_one_of(SYMBOLS, LENGTH(SYMBOLS), &name)) {
            subject.symbol = value.bytes;
            subject.symbol_bytes = value.length;
        }
    }
    if (!subject.event)
        subject.event = record;
    if (!subject.symbol)
        subject.symbol = record;
    return subject;
}
