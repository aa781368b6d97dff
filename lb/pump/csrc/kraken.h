/* Law: reads the caller's bytes, makes no system call, allocates nothing, keeps nothing.
 *
 * What Kraken's messages look like (websocket v2): one object each, which names its channel and holds data.
 *   {"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[...],"asks":[...],"checksum":1}]}
 * The venue's own words are the answers to requests, which have no channel, and the channels "heartbeat" and "status".
 * A record here is what the scanner cut: it begins with '{', ends with '}', and may be malformed in between. */
#ifndef KRAKEN_H
#define KRAKEN_H

#include "json_member.h"
#include "layout.h"

extern const struct layout kraken_layout;

/* What samples are told apart by: the channel. */
static inline int kraken_kind(const uint8_t *record, size_t length, struct json_span *kind)
{
    return json_find_string(record, length, "channel", kind);
}

static inline int kraken_is_notice(const uint8_t *record, size_t length)
{
    struct json_span channel;
    return !kraken_kind(record, length, &channel) || json_span_is(&channel, "heartbeat") ||
           json_span_is(&channel, "status");
}

/* Answers 1 with the symbol that decides the pipe: that of the first item. */
static inline int kraken_shard_key(const uint8_t *record, size_t length, struct json_span *key)
{
    struct json_span item;
    return json_find_member(record, length, "data", &item) == JSON_OTHER && json_first_object(&item) &&
           json_find_string(item.bytes, item.length, "symbol", key);
}

/* Data nests: none is flat. */
static inline size_t kraken_flat_bytes(const uint8_t *record, size_t available)
{
    (void)record, (void)available;
    return 0;
}

#endif
