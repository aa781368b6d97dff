/* Law: reads the caller's bytes, makes no system call, allocates nothing, keeps nothing.
 *
 * What the messages of Coinbase's Advanced Trade look like: one object each, which names its channel and holds events.
 *   {"channel":"l2_data","timestamp":"...","sequence_num":7,"events":[{"type":"update","product_id":"BTC-USD",...}]}
 *   {"channel":"ticker",...,"events":[{"type":"update","tickers":[{"product_id":"BTC-USD",...}]}]}
 * "sequence_num" counts over all messages of a session that have a channel, so that these are records, one like the
 * other: the answers to requests, too, which are the venue's own word besides. What has no channel, such as an error,
 * is its own word alone. A record here is what the scanner cut: it begins with '{', ends with '}', and may be malformed
 * in between. */
#ifndef COINBASE_H
#define COINBASE_H

#include "json_member.h"
#include "layout.h"

extern const struct layout coinbase_layout;

/* What samples are told apart by: the channel. */
static inline int coinbase_kind(const uint8_t *record, size_t length, struct json_span *kind)
{
    return json_find_string(record, length, "channel", kind);
}

static inline int coinbase_is_notice(const uint8_t *record, size_t length)
{
    struct json_span channel;
    return !coinbase_kind(record, length, &channel);
}

/* Whether a record is the venue's own word besides. */
static inline int coinbase_is_told(const uint8_t *record, size_t length)
{
    struct json_span channel;
    return coinbase_kind(record, length, &channel) && json_span_is(&channel, "subscriptions");
}

/* Answers 1 with the product that decides the pipe: that of the first event, or of the first item in it. */
static inline int coinbase_shard_key(const uint8_t *record, size_t length, struct json_span *key)
{
    static const char *const lists[] = {"trades", "tickers", "candles"};
    struct json_span event, item;
    if (json_find_member(record, length, "events", &event) != JSON_OTHER || !json_first_object(&event))
        return 0;
    if (json_find_string(event.bytes, event.length, "product_id", key))
        return 1;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (json_find_member(event.bytes, event.length, lists[i], &item) == JSON_OTHER && json_first_object(&item))
            if (json_find_string(item.bytes, item.length, "product_id", key))
                return 1;
    return 0;
}

/* Events nest: none is flat. */
static inline size_t coinbase_flat_bytes(const uint8_t *record, size_t available)
{
    (void)record, (void)available;
    return 0;
}

#endif
