/* Law: reads the caller's bytes, makes no system call, allocates nothing, keeps nothing.
 *
 * What Binance's combined streams look like: one object per message, which names its stream and holds the event.
 *   {"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT",...}}
 * All else is the venue's own word: answers to requests, which have no stream, and the announcement that the server
 * shuts down. (binance-spot-api-docs: web-socket-streams.md.) A record here is what the scanner cut: it begins with
 * '{', ends with '}', and may be malformed in between. */
#ifndef BINANCE_H
#define BINANCE_H

#include "json_member.h"
#include "layout.h"

#define BINANCE_STREAM "{\"stream\":\""
#define BINANCE_DATA "\",\"data\":{"
#define BINANCE_SHUTDOWN "!serverShutdown"

enum { BINANCE_NAME_AT = sizeof BINANCE_STREAM - 1, BINANCE_HEAD_MAX_BYTES = 128 };

extern const struct layout binance_layout;

static inline int binance_has_usual_begin(const uint8_t *record, size_t length)
{
    return length > BINANCE_NAME_AT && !memcmp(record, BINANCE_STREAM, BINANCE_NAME_AT);
}

/* Finds the stream's name. */
static inline int binance_stream(const uint8_t *record, size_t length, struct json_span *stream)
{
    return (binance_has_usual_begin(record, length) && json_plain_string(record + BINANCE_NAME_AT, stream)) ||
           json_find_string(record, length, "stream", stream);
}

static inline int binance_is_notice(const uint8_t *record, size_t length)
{
    struct json_span stream;
    return !binance_stream(record, length, &stream) || json_span_is(&stream, BINANCE_SHUTDOWN);
}

/* Answers 1 with the symbol that decides the pipe, as the stream's name begins with it: not every event has it in its
 * data, and a symbol's trades and books belong together. Of a stream of many symbols it is the stream. */
static inline int binance_shard_key(const uint8_t *record, size_t length, struct json_span *key)
{
    if (!binance_stream(record, length, key))
        return 0;
    const uint8_t *at_sign = memchr(key->bytes, '@', key->length);
    if (at_sign)
        key->length = (size_t)(at_sign - key->bytes);
    return 1;
}

/* What samples are told apart by: what the stream's name ends in. */
static inline int binance_kind(const uint8_t *record, size_t length, struct json_span *kind)
{
    if (!binance_stream(record, length, kind))
        return 0;
    const uint8_t *at_sign = memchr(kind->bytes, '@', kind->length);
    if (at_sign)
        *kind = (struct json_span){at_sign, kind->length - (size_t)(at_sign - kind->bytes)};
    return 1;
}

/* Where the object "data" begins; 0 where the record does not begin with the plain name of a stream and with that. */
static inline size_t binance_data_at(const uint8_t *record, size_t available)
{
    if (!binance_has_usual_begin(record, available))
        return 0;
    size_t at = BINANCE_NAME_AT;
    const size_t most = available < BINANCE_HEAD_MAX_BYTES ? available : BINANCE_HEAD_MAX_BYTES;
    while (at < most && record[at] != '"' && record[at] != '\\' && record[at] < '{')
        at++;
    const size_t open_at = at + sizeof BINANCE_DATA - 2;
    return open_at < available && !memcmp(record + at, BINANCE_DATA, sizeof BINANCE_DATA - 1) ? open_at : 0;
}

/* A record whose data is one flat object: see scan_flat(). */
static inline size_t binance_flat_bytes(const uint8_t *record, size_t available)
{
    const size_t data_at = binance_data_at(record, available);
    const size_t data_bytes = data_at ? scan_flat(record + data_at, available - data_at) : 0;
    const size_t end = data_at + data_bytes;
    return data_bytes && end < available && record[end] == '}' ? end + 1 : 0;
}

#endif
