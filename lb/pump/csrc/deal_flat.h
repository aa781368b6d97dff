/* The fast path for runs of flat records: cut and copied in one pass, with the vectors of the file that includes this.
 *
 * The same proof as scan_flat(): no byte of the record is special before its closing brace, and the quotes before that are even in
 * number. Whatever can't be proven so, and whatever comes near a limit, is left to the general path in deal.c, record by record.
 *
 * Before it is included:
 *   FLAT            static inline, with the target of the vectors
 *   struct vectors  constants, loaded by load_vectors()
 *   copy_flat()     copies the flat record at `record` to `to`, up to its closing brace or a little further. Returns where that is, or
 *                   NULL where it can't prove it within FLAT_MAX_BYTES, or the event's letter is '\' or above ('s' of status) */
#include "deal.h"
#include "shard.h"

#include <endian.h>
#include <string.h>

enum {
    EVENT_AT = 7,
    NAME_AT = 8,
    SYMBOL_AT = 17,
    SYMBOL_SHORT_BYTES = 5,
    SYMBOL_MAX_BYTES = 32
};

_Static_assert(PUMP_LENGTH_BYTES + FLAT_MAX_BYTES <= DEAL_PAD_BYTES, "whole blocks are loaded and stored, also of the last record");

static inline uint64_t load_64(const uint8_t *bytes)
{
    uint64_t number;
    memcpy(&number, bytes, sizeof number);
    return number;
}

static inline uint32_t load_32(const uint8_t *bytes)
{
    uint32_t number;
    memcpy(&number, bytes, sizeof number);
    return number;
}

/* Whether the record begins with {"ev":" */
FLAT int is_event(const uint8_t *record)
{
    return load_32(record) == 0x7665227B && load_32(record + 3) == 0x223A2276;
}

/* Puts the record behind the separator at `at` into the outbox. Returns where the record ends, or NULL where it is left to the general
 * path: no room, not proven, not received whole. */
FLAT const uint8_t *
deal_next(struct pump *pump, struct pump_pipe *pipe, const struct vectors *vectors, const uint8_t *at, const uint8_t *end)
{
    const uint64_t tail = pipe->tail;
    if (tail > pipe->flat_limit || !is_event(at + 1))
        return NULL;
    uint8_t *frame = pump_at(pump, tail);
    const uint8_t *brace = copy_flat(vectors, frame + PUMP_LENGTH_BYTES, at + 1);
    if (!brace || brace >= end)
        return NULL;
    const size_t length = (size_t)(brace - at);
    const uint32_t wire_length = htole32((uint32_t)length);
    memcpy(frame, &wire_length, PUMP_LENGTH_BYTES);
    pipe->tail = tail + PUMP_LENGTH_BYTES + length;
    deal_count(pump, pipe);
    return brace + 1;
}

/* The length of a symbol of at most five bytes; of any other, six. */
FLAT size_t short_bytes(uint64_t symbol)
{
    const uint64_t ones = UINT64_C(0x010101010101), tops = ones << 7;
    const uint64_t others = symbol ^ ones * '"'; /* a zero byte where a quote is: Mycroft's test finds the first exactly */
    const uint64_t found = (others - ones) & ~others & tops;
    return (size_t)__builtin_ctzll(found | UINT64_C(1) << 55) / 8;
}

/* Returns 1 with the hash, or 0 for an overlong symbol. Symbols differ in length from trade to trade: a loop to the quote would be
 * mispredicted at most of them. */
FLAT int hash_symbol(const uint8_t *symbol, uint64_t *hash)
{
    static const uint64_t primes[SYMBOL_SHORT_BYTES + 2][SYMBOL_SHORT_BYTES] = {
        {1, 1, 1, 1, 1},
        {SHARD_PRIME, 1, 1, 1, 1},
        {SHARD_PRIME, SHARD_PRIME, 1, 1, 1},
        {SHARD_PRIME, SHARD_PRIME, SHARD_PRIME, 1, 1},
        {SHARD_PRIME, SHARD_PRIME, SHARD_PRIME, SHARD_PRIME, 1},
        {SHARD_PRIME, SHARD_PRIME, SHARD_PRIME, SHARD_PRIME, SHARD_PRIME},
        {SHARD_PRIME, SHARD_PRIME, SHARD_PRIME, SHARD_PRIME, SHARD_PRIME},
    };
    const uint64_t loaded = load_64(symbol);
    const size_t length = short_bytes(loaded);
    const uint64_t bytes = loaded & ((UINT64_C(1) << 8 * length) - 1);
    *hash = SHARD_BASIS;
    for (size_t i = 0; i < SYMBOL_SHORT_BYTES; i++) /* behind the symbol: ^ 0 * 1 */
        *hash = (*hash ^ (bytes >> 8 * i & 0xFF)) * primes[length][i];
    if (length <= SYMBOL_SHORT_BYTES)
        return 1;
    for (size_t i = SYMBOL_SHORT_BYTES; i < SYMBOL_MAX_BYTES; i++) {
        if (symbol[i] == '"')
            return 1;
        *hash = shard_step(*hash, symbol[i]);
    }
    return 0;
}

/* Finds the pipe of a stock's or option's trade, quote or aggregate. Returns NULL for any other record. */
FLAT struct pump_pipe *pipe_of(struct pump *pump, const uint8_t *record)
{
    const uint64_t name = UINT64_C(0x3A226D7973222C22); /* ","sym": */
    const uint8_t event = record[EVENT_AT];
    if (load_64(record + NAME_AT) != name || record[SYMBOL_AT - 1] != '"' || (event != 'T' && event != 'Q' && event != 'A'))
        return NULL;
    uint64_t hash;
    return hash_symbol(record + SYMBOL_AT, &hash) ? pump->pipe + shard_pipe(hash, pump->config.pipes) : NULL;
}

/* Both return where they stopped, at the separator before the first record not dealt, and count in *records. */

FLAT const uint8_t *deal_in_turn(struct pump *pump, const uint8_t *at, const uint8_t *end, uint64_t *records)
{
    const struct vectors vectors = load_vectors(&pump->flat);
    struct pump_pipe *const last = pump->pipe + pump->config.pipes;
    struct pump_pipe *pipe = pump->pipe + pump->next_pipe;
    const uint8_t *behind;
    while ((behind = deal_next(pump, pipe, &vectors, at, end))) {
        at = behind;
        ++*records;
        if (++pipe == last)
            pipe = pump->pipe;
        if (*at != ',')
            break;
    }
    pump->next_pipe = (uint32_t)(pipe - pump->pipe);
    return at;
}

FLAT const uint8_t *deal_by_symbol(struct pump *pump, const uint8_t *at, const uint8_t *end, uint64_t *records)
{
    const struct vectors vectors = load_vectors(&pump->flat);
    struct pump_pipe *pipe;
    const uint8_t *behind;
    while ((pipe = pipe_of(pump, at + 1)) && (behind = deal_next(pump, pipe, &vectors, at, end))) {
        at = behind;
        ++*records;
        if (*at != ',')
            break;
    }
    return at;
}

FLAT size_t deal_flat_run(struct pump *pump, const uint8_t *text, const uint8_t *end, uint8_t state)
{
    if (*text != (state == SCAN_START ? '[' : ','))
        return 0;
    uint64_t records = 0;
    const uint8_t *at = pump->config.route == PUMP_ROUTE_SYMBOL ? deal_by_symbol(pump, text, end, &records)
                                                                : deal_in_turn(pump, text, end, &records);
    const size_t dealt_bytes = (size_t)(at - text);
    pump->counters.records_total += records;
    pump->counters.record_bytes_total += dealt_bytes - records; /* without the separators */
    return dealt_bytes;
}
