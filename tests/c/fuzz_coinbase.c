/* A record is the venue's own word alone, or it has a kind; what is found stays inside of it.
 *
 * Input: what stands between a record's braces. */
#include "coinbase.h"
#include "input.h"
#include "inside.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *record = guarded_record(data, size);
    if (!record)
        return 0;
    struct json_span key, kind, events;
    const int has_kind = coinbase_kind(record, size + 2, &kind);
    REQUIRE(has_kind != coinbase_is_notice(record, size + 2));
    REQUIRE(has_kind || !coinbase_is_told(record, size + 2));
    if (has_kind)
        require_inside(record, size + 2, &kind);
    if (coinbase_shard_key(record, size + 2, &key)) {
        require_inside(record, size + 2, &key);
        REQUIRE(json_find_member(record, size + 2, "events", &events) == JSON_OTHER && key.bytes > events.bytes);
    }
    return 0;
}
