#include "polygon.h"

/* A place in a record; at == end where the record holds nothing more that makes sense. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
};

static void skip_white_space(struct reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || (*reader->at >= '\t' && *reader->at <= '\r')))
        reader->at++;
}

static int take(struct reader *reader, uint8_t byte)
{
    skip_white_space(reader);
    if (reader->at == reader->end || *reader->at != byte)
        return 0;
    reader->at++;
    return 1;
}

static int take_string(struct reader *reader, struct polygon_span *string)
{
    if (!take(reader, '"'))
        return 0;
    string->bytes = reader->at;
    for (; reader->at < reader->end; reader->at++) {
        if (*reader->at == '"') {
            string->length = (size_t)(reader->at++ - string->bytes);
            return 1;
        }
        if (*reader->at == '\\' && ++reader->at == reader->end)
            return 0;
    }
    return 0;
}

/* Goes on to the ',' or '}' behind a value of any kind. */
static void skip_value(struct reader *reader)
{
    struct polygon_span ignored;
    size_t depth = 0;
    while (reader->at < reader->end) {
        const uint8_t byte = *reader->at;
        if (byte == '"') {
            if (!take_string(reader, &ignored))
                return;
            continue;
        }
        if (depth == 0 && (byte == ',' || byte == '}'))
            return;
        if (byte == '{' || byte == '[')
            depth++;
        if ((byte == '}' || byte == ']') && depth > 0)
            depth--;
        reader->at++;
    }
}

static int span_is(const struct polygon_span *span, const char *text)
{
    return span->length == strlen(text) && !memcmp(span->bytes, text, span->length);
}

int polygon_find_string(const uint8_t *record, size_t length, const char *name, struct polygon_span *value)
{
    struct reader reader = {record, record + length};
    struct polygon_span member;
    if (!take(&reader, '{'))
        return 0;
    do {
        if (!take_string(&reader, &member) || !take(&reader, ':'))
            return 0;
        skip_white_space(&reader);
        if (span_is(&member, name))
            return take_string(&reader, value);
        skip_value(&reader);
    } while (take(&reader, ','));
    return 0;
}

int polygon_is_status_anywhere(const uint8_t *record, size_t length)
{
    struct polygon_span event;
    return polygon_find_string(record, length, "ev", &event) && span_is(&event, "status");
}

/* An event's shard key is a symbol or a pair, under the name its layout gives it. */
static const struct {
    const char *event;
    const char *member;
} key_members[] = {
    {"T", "sym"},   {"Q", "sym"},   {"A", "sym"},  {"AM", "sym"},  {"FMV", "sym"}, {"LV", "sym"}, {"XT", "pair"}, {"XQ", "pair"},
    {"XA", "pair"}, {"XL2", "pair"}, {"XAS", "pair"}, {"CA", "pair"}, {"CAS", "pair"}, {"C", "p"},   {"LULD", "T"},  {"V", "T"},
    {"NOI", "T"},
};

int polygon_shard_key_anywhere(const uint8_t *record, size_t length, struct polygon_span *key)
{
    struct polygon_span event;
    if (polygon_find_string(record, length, "ev", &event))
        for (size_t i = 0; i < sizeof key_members / sizeof *key_members; i++)
            if (span_is(&event, key_members[i].event))
                return polygon_find_string(record, length, key_members[i].member, key);
    return polygon_find_string(record, length, "sym", key) || polygon_find_string(record, length, "pair", key) ||
           polygon_find_string(record, length, "T", key);
}
