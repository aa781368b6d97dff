#include "json_member.h"

/* A place in a record; at == end where the record holds nothing more that makes sense. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
};

static int is_white_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static void skip_white_space(struct reader *reader)
{
    while (reader->at < reader->end && is_white_space(*reader->at))
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

static int take_string(struct reader *reader, struct json_span *string)
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
    struct json_span ignored;
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

/* At the first byte of a value. */
static enum json_found take_value(struct reader *reader, struct json_span *value)
{
    const uint8_t *begin = reader->at;
    if (take_string(reader, value))
        return JSON_STRING;
    *value = (struct json_span){begin, (size_t)(reader->end - begin)};
    return JSON_OTHER;
}

enum json_found json_find_member(const uint8_t *object, size_t length, const char *name, struct json_span *value)
{
    struct reader reader = {object, object + length};
    struct json_span member;
    if (!take(&reader, '{'))
        return JSON_ABSENT;
    do {
        if (!take_string(&reader, &member) || !take(&reader, ':'))
            return JSON_ABSENT;
        skip_white_space(&reader);
        if (json_span_is(&member, name))
            return take_value(&reader, value);
        skip_value(&reader);
    } while (take(&reader, ','));
    return JSON_ABSENT;
}

int json_find_text(const uint8_t *object, size_t length, const char *name, struct json_span *text)
{
    const enum json_found found = json_find_member(object, length, name, text);
    if (found == JSON_OTHER) {
        struct reader reader = {text->bytes, text->bytes + text->length};
        skip_value(&reader);
        while (reader.at > text->bytes && is_white_space(reader.at[-1]))
            reader.at--;
        text->length = (size_t)(reader.at - text->bytes);
    }
    return found != JSON_ABSENT;
}

int json_first_object(struct json_span *value)
{
    struct reader reader = {value->bytes, value->bytes + value->length};
    take(&reader, '[');
    skip_white_space(&reader);
    if (reader.at == reader.end || *reader.at != '{')
        return 0;
    *value = (struct json_span){reader.at, (size_t)(reader.end - reader.at)};
    return 1;
}
