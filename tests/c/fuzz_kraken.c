/* A record without a channel is the venue's own word, and what is found stays inside of a record.
 *
 * Input: what stands between a record's braces. */
#include "input.h"
#include "inside.h"
#include "kraken.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *record = guarded_record(data, size);
    if (!record)
        return 0;
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
