/* A record without a channel is the venue's own word, and what is found stays inside of a record.
 *
 * Input: what stands between a record's braces. */
#include "input.h"
#include "kraken.h"

enum { RECORD_MAX_BYTES = 4096 };

static void require_inside(const uint8_t *record, size_t length, const struct json_span *span)
{
    REQUIRE(span->bytes > record && span->bytes + span->length < record + length);
    REQUIRE(span->bytes[-1] == '"' && span->bytes[span->length] == '"');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t bytes[RECORD_MAX_BYTES + 2] = {'{'};
    if (size > RECORD_MAX_BYTES)
        return 0;
    memcpy(bytes + 1, data, size);
    bytes[size + 1] = '}';
    const uint8_t *record = guarded(bytes, size + 2, 0);
    struct json_span key, kind, item;
    if (kraken_kind(record, size + 2, &kind))
        require_inside(record, size + 2, &kind);
    else
        REQUIRE(kraken_is_notice(record, size + 2));
    if (kraken_shard_key(record, size + 2, &key)) {
        require_inside(record, size + 2, &key);
        REQUIRE(json_find_member(record, size + 2, "data", &item) == JSON_OTHER && key.bytes > item.bytes);
    }
    return 0;
}
