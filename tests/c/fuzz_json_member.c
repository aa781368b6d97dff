/* A member of an object: what is found lies inside of the object, is the first of its name, and nothing behind the object is read.
 *
 * Input: what stands between the object's braces. */
#include "input.h"
#include "json_member.h"

enum { OBJECT_MAX_BYTES = 4096 };

static void check(const uint8_t *object, size_t length, const char *name)
{
    struct json_span value = {0};
    const enum json_found found = json_find_member(object, length, name, &value);
    REQUIRE((found != JSON_ABSENT) == json_has_member(object, length, name));
    if (found == JSON_OTHER) {
        REQUIRE(value.bytes > object && value.bytes + value.length == object + length);
        if (json_first_object(&value))
            REQUIRE(value.bytes > object && *value.bytes == '{' && value.bytes + value.length == object + length);
    }
    struct json_span text = {0};
    REQUIRE(json_find_text(object, length, name, &text) == (found != JSON_ABSENT));
    if (found == JSON_OTHER)
        REQUIRE(text.bytes > object && text.bytes + text.length <= object + length);
    if (found != JSON_STRING)
        return;
    REQUIRE(text.bytes == value.bytes && text.length == value.length);
    REQUIRE(value.bytes > object && value.bytes + value.length < object + length);
    REQUIRE(value.bytes[-1] == '"' && value.bytes[value.length] == '"');
    /* every quote in it is escaped: behind an odd number of backslashes */
    size_t backslashes = 0;
    for (size_t at = 0; at <= value.length; at++) {
        REQUIRE(value.bytes[at] != '"' || (backslashes % 2 == 1) == (at < value.length));
        backslashes = value.bytes[at] == '\\' ? backslashes + 1 : 0;
    }
    struct json_span plain = {0};
    if (json_plain_string(value.bytes, &plain))
        REQUIRE(plain.bytes == value.bytes && plain.length == value.length);
    REQUIRE(json_span_is(&value, "T") == (value.length == 1 && *value.bytes == 'T'));
}

/* The first of that name is the one that is found, whatever follows; and none inside of a value. */
static void check_first(const uint8_t *data, size_t size)
{
    static const char first[] = "{\"x\":{\"y\":[1,{\"sym\":\"no\"}],\"sym\":\"no\"},\"z\":[2,\"sym\"], \"sym\"\t:\r\n\"a\\\"b\" ,";
    uint8_t object[sizeof first + OBJECT_MAX_BYTES + 1];
    struct json_span value;
    const size_t begin = sizeof first - 1;
    memcpy(object, first, begin);
    memcpy(object + begin, data, size);
    object[begin + size] = '}';
    const uint8_t *copy = guarded(object, begin + size + 1, 0);
    REQUIRE(json_find_string(copy, begin + size + 1, "sym", &value) && json_span_is(&value, "a\\\"b"));
    check(copy, begin + size + 1, "ev");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"ev", "sym", "pair", "T", "", "stream"};
    uint8_t object[OBJECT_MAX_BYTES + 2] = "{";
    if (size > OBJECT_MAX_BYTES)
        return 0;
    memcpy(object + 1, data, size);
    object[size + 1] = '}';
    const uint8_t *copy = guarded(object, size + 2, 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check(copy, size + 2, names[i]);
    check_first(data, size);
    return 0;
}
