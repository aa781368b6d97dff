/* The guess at a trade's leading bytes answers what the search of the members does, and neither leaves the record.
 *
 * Input: what stands between a record's braces. */
#include "input.h"
#include "polygon.h"
#include "shard.h"

static void check(const uint8_t *bytes, size_t length)
{
    struct json_span quick = {0}, slow = {0};
    const uint8_t *record = guarded(bytes, length, 0);
    REQUIRE(polygon_is_notice(record, length) == polygon_is_notice_anywhere(record, length));
    const int has_key = polygon_shard_key(record, length, &quick);
    REQUIRE(has_key == polygon_shard_key_anywhere(record, length, &slow));
    if (!has_key)
        return;
    REQUIRE(quick.bytes == slow.bytes && quick.length == slow.length);
    REQUIRE(quick.bytes > record && quick.bytes + quick.length < record + length);
    REQUIRE(quick.bytes[-1] == '"' && quick.bytes[quick.length] == '"');
    for (uint32_t pipes = 1; pipes < 70; pipes += 4)
        REQUIRE(shard_of(quick.bytes, quick.length, pipes) < pipes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char trade[] = POLYGON_TRADE;
    uint8_t record[sizeof trade + RECORD_MAX_BYTES + 2] = "{";
    if (size > RECORD_MAX_BYTES)
        return 0;
    memcpy(record + 1, data, size);
    record[size + 1] = '}';
    check(record, size + 2);
    memcpy(record, trade, sizeof trade - 1);
    memcpy(record + sizeof trade - 1, data, size);
    record[sizeof trade - 1 + size] = '}';
    check(record, sizeof trade + size);
    return 0;
}
