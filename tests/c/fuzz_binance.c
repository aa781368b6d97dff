/* The guess at a record's leading bytes answers what the search of the members does, and what is cut quickly is what the scanner cuts.
 *
 * Input: what stands between a record's braces, or behind the name of its stream. */
#include "binance.h"
#include "input.h"

static int key_anywhere(const uint8_t *record, size_t length, struct json_span *key)
{
    const int found = json_find_string(record, length, "stream", key);
    for (size_t at = 0; found && at < key->length; at++)
        if (key->bytes[at] == '@')
            key->length = at;
    return found;
}

static void check_meaning(const uint8_t *bytes, size_t length)
{
    struct json_span quick = {0}, slow = {0};
    const uint8_t *record = guarded(bytes, length, 0);
    const int has_key = binance_shard_key(record, length, &quick);
    REQUIRE(has_key == key_anywhere(record, length, &slow));
    REQUIRE(has_key || binance_is_notice(record, length));
    if (!has_key)
        return;
    REQUIRE(quick.bytes == slow.bytes && quick.length == slow.length);
    REQUIRE(quick.bytes > record && quick.bytes + quick.length < record + length);
    REQUIRE(binance_kind(record, length, &slow) && slow.bytes + slow.length < record + length);
}

/* A record alone in its message, with something behind it. */
static void check_cut(const uint8_t *bytes, size_t length)
{
    struct scan scan = {0};
    struct scan_span span;
    const uint8_t *record = guarded(bytes, length, SCAN_PAD_BYTES);
    const size_t flat_bytes = binance_flat_bytes(record, length);
    if (!flat_bytes)
        return;
    REQUIRE(flat_bytes <= length && scan_next(&scan, record, length, &span) == 1);
    REQUIRE(span.start == 0 && span.length == flat_bytes);
}

static void check(const uint8_t *record, size_t length)
{
    for (size_t cut = 0; cut < 3 && cut < length; cut++)
        check_cut(record, length - cut);
    check_meaning(record, length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char begins[][40] = {"{", BINANCE_STREAM, BINANCE_STREAM "btcusdt@trade" BINANCE_DATA};
    uint8_t record[sizeof *begins + RECORD_MAX_BYTES + 2];
    if (size > RECORD_MAX_BYTES)
        return 0;
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        const size_t begin = strlen(begins[i]);
        memcpy(record, begins[i], begin);
        memcpy(record + begin, data, size);
        record[begin + size] = record[begin + size + 1] = '}';
        check(record, begin + size + 1);
        check(record, begin + size + 2);
    }
    return 0;
}
