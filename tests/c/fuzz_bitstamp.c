/* A record is the venue's own word or has a pair, and what is found stays inside of it.
 *
 * Input: what stands between a record's braces. */
#include "bitstamp.h"
#include "input.h"

static void require_inside(const uint8_t *record, size_t length, const struct json_span *span)
{
    REQUIRE(span->bytes > record && span->bytes + span->length < record + length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *record = guarded_record(data, size);
    if (!record)
        return 0;
    struct json_span key, kind, channel;
    const int has_key = bitstamp_shard_key(record, size + 2, &key);
    REQUIRE(bitstamp_kind(record, size + 2, &kind) == has_key);
    if (!has_key) {
        REQUIRE(bitstamp_is_notice(record, size + 2));
        return 0;
    }
    require_inside(record, size + 2, &key);
    require_inside(record, size + 2, &kind);
    REQUIRE(json_find_string(record, size + 2, "channel", &channel));
    REQUIRE(kind.bytes == channel.bytes && kind.bytes + kind.length == key.bytes);
    REQUIRE(kind.length + key.length == channel.length);
    REQUIRE(!memchr(key.bytes, '_', key.length));
    return 0;
}
