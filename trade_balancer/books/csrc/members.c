#include "members.h"
#include "decimal.h"

enum { SPELLED_NAME_BYTES = 32, SPELLED_DECIMAL_BYTES = 256 };

int members_read(const uint8_t *object, size_t bytes, struct member *members, size_t count)
{
    struct json_reader reader = json_reader(object, bytes);
    struct json_value name, value;
    int rc;
    for (size_t i = 0; i < count; i++)
        members[i].value = (struct json_value){.type = JSON_NULL};
    while ((rc = json_next_member(&reader, &name, &value)) == 1)
        for (size_t i = 0; i < count; i++)
            if (string_is(&name, members[i].name))
                members[i].value = value;
    return rc < 0 ? BOOKS_EMALFORMED : 0;
}

size_t text_bytes(const uint8_t *text, size_t bytes)
{
    while (bytes > 0 && (text[bytes - 1] == ' ' || text[bytes - 1] == '\t' || text[bytes - 1] == '\n' || text[bytes - 1] == '\r'))
        bytes--;
    return bytes;
}

bool string_read(const struct json_value *string, uint8_t *spelled, size_t room, const uint8_t **text, size_t *bytes)
{
    if (string->type != JSON_STRING)
        return false;
    *text = string->bytes;
    *bytes = string->length;
    if (string->has_escapes) {
        if (string->length > room)
            return false;
        *text = spelled;
        *bytes = json_unescape(string, spelled);
    }
    return true;
}

bool string_is(const struct json_value *string, const char *text)
{
    uint8_t spelled[SPELLED_NAME_BYTES * JSON_ESCAPE_BYTES];
    const uint8_t *bytes;
    size_t length;
    return string_read(string, spelled, sizeof spelled, &bytes, &length) && length == strlen(text) && !memcmp(bytes, text, length);
}

int value_read_decimal(const struct json_value *value, unsigned decimals, int64_t *out)
{
    uint8_t spelled[SPELLED_DECIMAL_BYTES];
    const uint8_t *at = value->bytes;
    size_t length = value->length;
    if (value->type != JSON_NUMBER && !string_read(value, spelled, sizeof spelled, &at, &length))
        return BOOKS_EMALFORMED;
    const uint8_t *end = at + length;
    const int rc = length && *at != '"' ? decimal_read(&at, end, decimals, out) : BOOKS_EMALFORMED;
    return at == end ? rc : BOOKS_EMALFORMED;
}

bool value_read_count(const struct json_value *value, uint64_t *out)
{
    int64_t number;
    if (value_read_decimal(value, 0, &number) < 0 || number < 0)
        return false;
    *out = (uint64_t)number;
    return true;
}
