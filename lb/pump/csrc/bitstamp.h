/* Law: reads the caller's bytes, makes no system call, allocates nothing, keeps nothing.
 *
 * What Bitstamp's messages look like (websocket v2): one object each, whose event stands behind its data, or before.
 *   {"data":{"microtimestamp":"...","bids":[...],"asks":[...]},"channel":"order_book_btcusd","event":"data"}
 * The venue's own words are the events bts:..., and whatever names no channel. A record here is what the scanner cut:
 * it begins with '{', ends with '}', and may be malformed in between. */
#ifndef BITSTAMP_H
#define BITSTAMP_H

#include "json_member.h"
#include "layout.h"

#define BITSTAMP_OWN "bts:"

extern const struct layout bitstamp_layout;

/* Finds the channel's name. */
static inline int bitstamp_channel(const uint8_t *record, size_t length, struct json_span *channel)
{
    return json_find_string(record, length, "channel", channel) && channel->length;
}

static inline int bitstamp_is_notice(const uint8_t *record, size_t length)
{
    const size_t own_bytes = sizeof BITSTAMP_OWN - 1;
    struct json_span span;
    if (json_find_string(record, length, "event", &span) && span.length >= own_bytes &&
        !memcmp(span.bytes, BITSTAMP_OWN, own_bytes))
        return 1;
    return !bitstamp_channel(record, length, &span);
}

/* How many bytes of a channel's name come before its pair: order_book_ of order_book_btcusd. 0: it has none. */
static inline size_t bitstamp_pair_at(const struct json_span *channel)
{
    const uint8_t *last = memrchr(channel->bytes, '_', channel->length);
    return last ? (size_t)(last - channel->bytes) + 1 : 0;
}

/* Answers 1 with the pair, which decides the pipe: a pair's trades and books belong together. */
static inline int bitstamp_shard_key(const uint8_t *record, size_t length, struct json_span *key)
{
    if (!bitstamp_channel(record, length, key))
        return 0;
    const size_t pair_at = bitstamp_pair_at(key);
    *key = (struct json_span){key->bytes + pair_at, key->length - pair_at};
    return 1;
}

/* What samples are told apart by: what comes before the pair. */
static inline int bitstamp_kind(const uint8_t *record, size_t length, struct json_span *kind)
{
    if (!bitstamp_channel(record, length, kind))
        return 0;
    kind->length = bitstamp_pair_at(kind);
    return 1;
}

/* Books nest: none is flat. */
static inline size_t bitstamp_flat_bytes(const uint8_t *record, size_t available)
{
    (void)record, (void)available;
    return 0;
}

#endif
