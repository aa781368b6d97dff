#include "json.h"
#include "number.h"
#include "text.h"

#include <stdbool.h>

enum { FINITE_POWER = 288 }; /* a mantissa is below 10^20: times this power of ten, it is below 10^308 */

static void skip_white_space(struct json_reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\n' || *reader->at == '\r'))
        reader->at++;
}

/* Takes white space and then this byte, if it is there. */
static bool take(struct json_reader *reader, uint8_t byte)
{
    skip_white_space(reader);
    if (reader->at == reader->end || *reader->at != byte)
        return false;
    reader->at++;
    return true;
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* The four hexadecimal digits at `at`, or -1. */
static int32_t read_hex(const uint8_t *at, const uint8_t *end)
{
    int32_t code = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        const int digit = hex_digit(at[i]);
        if (digit < 0)
            return -1;
        code = code << 4 | digit;
    }
    return code;
}

/* The length of the escape at at[0] == '\\', and the character it stands for; 0 where it is none. */
static size_t read_escape(const uint8_t *at, const uint8_t *end, uint32_t *character)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (end - at < 2)
        return 0;
    if (at[1] != 'u') {
        const char *letter = memchr(letters, at[1], sizeof letters - 1);
        *character = letter ? (uint8_t)meanings[letter - letters] : 0;
        return letter ? 2 : 0;
    }
    const int32_t first = read_hex(at + 2, end);
    if (first < 0 || (first & 0xFC00) == 0xDC00)
        return 0;
    *character = (uint32_t)first;
    if ((first & 0xFC00) != 0xD800)
        return 6;
    const int32_t second = end - at >= 8 && at[6] == '\\' && at[7] == 'u' ? read_hex(at + 8, end) : -1;
    if (second < 0 || (second & 0xFC00) != 0xDC00)
        return 0;
    *character = 0x10000 + ((uint32_t)(first & 0x3FF) << 10 | (uint32_t)(second & 0x3FF));
    return 12;
}

/* The length of the UTF-8 sequence of more than one byte at `at` (RFC 3629), or 0. */
static size_t utf8_sequence(const uint8_t *at, const uint8_t *end)
{
    const uint8_t lead = at[0];
    const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || (size_t)(end - at) < length)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    const bool is_overlong = (lead == 0xE0 && at[1] < 0xA0) || (lead == 0xF0 && at[1] < 0x90);
    const bool is_surrogate = lead == 0xED && at[1] >= 0xA0;
    const bool is_beyond = lead == 0xF4 && at[1] >= 0x90;
    return is_overlong || is_surrogate || is_beyond ? 0 : length;
}

/* Takes the string that begins behind reader->at, which has its opening quote. */
static bool take_string(struct json_reader *reader, struct json_value *string)
{
    const uint8_t *at = reader->at + 1;
    string->bytes = at;
    string->type = JSON_STRING;
    string->has_escapes = 0;
    while (at < reader->end && *at != '"') {
        uint32_t ignored;
        size_t step = 1;
        if (*at == '\\') {
            string->has_escapes = 1;
            step = read_escape(at, reader->end, &ignored);
        } else if (*at >= 0x80) {
            step = utf8_sequence(at, reader->end);
        } else if (*at < 0x20) {
            step = 0;
        }
        if (step == 0)
            return false;
        at += step;
    }
    if (at == reader->end)
        return false;
    string->length = (size_t)(at - string->bytes);
    reader->at = at + 1;
    return true;
}

static bool take_literal(struct json_reader *reader, const char *literal, size_t length)
{
    if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, literal, length))
        return false;
    reader->at += length;
    return true;
}

static bool take_number(struct json_reader *reader, struct number *number)
{
    double ignored;
    const size_t length = number_read(reader->at, (size_t)(reader->end - reader->at), number);
    if (length == 0)
        return false;
    if (number->exponent > FINITE_POWER && !number_to_double(reader->at, length, number, &ignored))
        return false;
    reader->at += length;
    return true;
}

/* Takes a value that is no object or array, and tells its type. */
static bool take_scalar(struct json_reader *reader, struct json_value *value)
{
    const uint8_t *begin = reader->at;
    bool is_taken;
    switch (*begin) {
    case '"': return take_string(reader, value);
    case 'n': is_taken = take_literal(reader, "null", 4), value->type = JSON_NULL; break;
    case 't': is_taken = take_literal(reader, "true", 4), value->type = JSON_TRUE; break;
    case 'f': is_taken = take_literal(reader, "false", 5), value->type = JSON_FALSE; break;
    default: is_taken = take_number(reader, &value->number), value->type = JSON_NUMBER; break;
    }
    value->bytes = begin;
    value->length = (size_t)(reader->at - begin);
    value->has_escapes = 0;
    return is_taken;
}

static bool take_name(struct json_reader *reader, struct json_value *name)
{
    skip_white_space(reader);
    return reader->at < reader->end && *reader->at == '"' && take_string(reader, name) && take(reader, ':');
}

/* The objects and arrays that are open around a place, a bit for each: set for an object. */
struct nesting {
    uint32_t depth;
    uint8_t is_object[JSON_DEPTH_MAX / 8];
};

static bool open_container(struct nesting *nesting, bool is_object)
{
    if (nesting->depth + 1 >= JSON_DEPTH_MAX) /* the record itself is one */
        return false;
    const uint32_t level = nesting->depth++;
    const uint8_t bit = (uint8_t)(1U << level % 8);
    nesting->is_object[level / 8] = (uint8_t)((nesting->is_object[level / 8] & ~bit) | (is_object ? bit : 0));
    return true;
}

static bool in_object(const struct nesting *nesting)
{
    const uint32_t level = nesting->depth - 1;
    return nesting->is_object[level / 8] >> level % 8 & 1;
}

/* Behind a value, a name or an opening bracket: goes on to where the next value begins. Returns 1, 0 where no container is open any more,
 * or -1. */
static int next_in_container(struct json_reader *reader, struct nesting *nesting, bool is_first)
{
    struct json_value ignored;
    while (nesting->depth > 0) {
        const bool is_object = in_object(nesting);
        if (take(reader, is_object ? '}' : ']')) {
            nesting->depth--;
            is_first = false;
            continue;
        }
        if (!is_first && !take(reader, ','))
            return -1;
        return !is_object || take_name(reader, &ignored) ? 1 : -1;
    }
    return 0;
}

static bool take_container(struct json_reader *reader)
{
    struct nesting nesting = {.depth = 0};
    struct json_value ignored;
    int rc = 1;
    while (rc == 1) {
        skip_white_space(reader);
        if (reader->at == reader->end)
            return false;
        const uint8_t byte = *reader->at;
        const bool is_opening = byte == '{' || byte == '[';
        if (is_opening)
            reader->at++;
        if (is_opening ? !open_container(&nesting, byte == '{') : !take_scalar(reader, &ignored))
            return false;
        rc = next_in_container(reader, &nesting, is_opening);
    }
    return rc == 0;
}

int json_take_value(struct json_reader *reader, struct json_value *value)
{
    skip_white_space(reader);
    if (reader->at == reader->end)
        return 0;
    const uint8_t *begin = reader->at;
    if (*begin != '{' && *begin != '[')
        return take_scalar(reader, value);
    if (!take_container(reader))
        return 0;
    value->bytes = begin;
    value->length = (size_t)(reader->at - begin);
    value->type = *begin == '{' ? JSON_OBJECT : JSON_ARRAY;
    value->has_escapes = 0;
    return 1;
}

int json_next_member(struct json_reader *reader, struct json_value *name, struct json_value *value)
{
    const bool is_first = !reader->is_begun;
    reader->is_begun = 1;
    if (is_first && !take(reader, '{'))
        return -1;
    if (take(reader, '}')) {
        skip_white_space(reader);
        return reader->at == reader->end ? 0 : -1;
    }
    if (!is_first && !take(reader, ','))
        return -1;
    return take_name(reader, name) && json_take_value(reader, value) ? 1 : -1;
}

int json_next_item(struct json_reader *reader, struct json_value *item)
{
    const bool is_first = !reader->is_begun;
    reader->is_begun = 1;
    if (is_first)
        take(reader, '[');
    if (take(reader, ']') || (!is_first && !take(reader, ',')))
        return 0;
    return json_take_value(reader, item);
}

static size_t write_utf8(uint32_t character, uint8_t *to)
{
    if (character < 0x80) {
        to[0] = (uint8_t)character;
        return 1;
    }
    const size_t length = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    static const uint8_t leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = length - 1; i > 0; i--) {
        to[i] = (uint8_t)(0x80 | (character & 0x3F));
        character >>= 6;
    }
    to[0] = (uint8_t)(leads[length] | character);
    return length;
}

size_t json_unescape(const struct json_value *string, uint8_t *to)
{
    const uint8_t *at = string->bytes, *end = at + string->length;
    const uint8_t *const begin = to;
    while (at < end) {
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        uint32_t character = 0;
        at += read_escape(at, end, &character);
        to += write_utf8(character, to);
    }
    return (size_t)(to - begin);
}

uint64_t json_word(const struct json_value *string)
{
    uint8_t resolved[JSON_WORD_BYTES * JSON_ESCAPE_BYTES], word[8] = {0};
    const uint8_t *bytes = string->bytes;
    size_t length = string->length;
    if (string->has_escapes) {
        if (length > sizeof resolved)
            return 0;
        length = json_unescape(string, resolved);
        bytes = resolved;
    }
    if (length == 0 || length > JSON_WORD_BYTES || memchr(bytes, 0, length))
        return 0;
    memcpy(word, bytes, length);
    return load_64(word);
}
