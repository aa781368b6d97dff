/* The fast path for runs of flat records: cut and copied in one pass. A part of layout_row.h, once for each kind of
 * vectors.
 *
 * The same proof as scan_flat(): no byte of the object is special before its closing brace, and the quotes before
 * that are even in number. Whatever can't be proven so, and whatever comes near a limit, is left to the general
 * path, record by record.
 *
 * Before it is included:
 *   VECTORS_TARGET   the target of the vectors
 *   VECTORS(name)    their name for `name`: `constants`, a struct and what loads it; and copy_flat(), which copies the flat
 *                    object at `object` to `to`, up to its closing brace or a little further. That returns where the brace is,
 *                    or NULL where it can't prove it within FLAT_MAX_BYTES, or the letter (struct layout) is '\' or above. */

#define FLAT static inline __attribute__((always_inline, target(VECTORS_TARGET)))

/* Puts the record behind `at` into the outbox. Returns where it ends, or NULL where it is left to the general path:
 * no room, not proven, not received whole. */
FLAT const uint8_t *VECTORS(deal_next)(struct pump *pump, struct pump_pipe *pipe,
                                       const struct VECTORS(constants) *constants, const uint8_t *at,
                                       const uint8_t *end)
{
    const uint64_t tail = pipe->tail;
    if (tail > pipe->flat_limit || !LAYOUT(is_quick)(at + 1))
        return NULL;
    uint8_t *frame = pump_at(pump, tail);
    const uint8_t *brace = VECTORS(copy_flat)(constants, frame + PUMP_LENGTH_BYTES, at + 1);
    if (!brace || brace >= end)
        return NULL;
    const size_t length = (size_t)(brace - at);
    const uint32_t wire_length = htole32((uint32_t)length);
    memcpy(frame, &wire_length, PUMP_LENGTH_BYTES);
    pipe->tail = tail + PUMP_LENGTH_BYTES + length;
    deal_count(pump, pipe);
    return brace + 1;
}

/* The pipe of a record that begins like those with a key where it is looked for; NULL for any other. */
FLAT struct pump_pipe *VECTORS(pipe_of)(struct pump *pump, const uint8_t *record)
{
    const uint8_t *key = LAYOUT(quick_key)(record);
    uint64_t hash;
    if (!key || !shard_hash_until(key, LAYOUT_KEY_END, &hash))
        return NULL;
    return pump->pipe + shard_pipe(hash, pump->config.pipes);
}

/* Both return where they stopped, at the separator before the first record not dealt, and count in *records. */

FLAT const uint8_t *
VECTORS(deal_in_turn)(struct pump *pump, const uint8_t *at, const uint8_t *end, uint64_t *records)
{
    const struct VECTORS(constants) constants = VECTORS(constants)(&pump->flat);
    struct pump_pipe *const last = pump->pipe + pump->config.pipes;
    struct pump_pipe *pipe = pump->pipe + pump->next_pipe;
    const uint8_t *behind;
    while ((behind = VECTORS(deal_next)(pump, pipe, &constants, at, end))) {
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

FLAT const uint8_t *
VECTORS(deal_by_symbol)(struct pump *pump, const uint8_t *at, const uint8_t *end, uint64_t *records)
{
    const struct VECTORS(constants) constants = VECTORS(constants)(&pump->flat);
    struct pump_pipe *pipe;
    const uint8_t *behind;
    while ((pipe = VECTORS(pipe_of)(pump, at + 1)) &&
           (behind = VECTORS(deal_next)(pump, pipe, &constants, at, end))) {
        at = behind;
        ++*records;
        if (*at != ',')
            break;
    }
    return at;
}

FLAT const uint8_t *
VECTORS(deal_by_backlog)(struct pump *pump, const uint8_t *at, const uint8_t *end, uint64_t *records)
{
    const struct VECTORS(constants) constants = VECTORS(constants)(&pump->flat);
    const uint8_t *behind;
    while ((behind = VECTORS(deal_next)(pump, pump->pipe + backlog_pipe(pump), &constants, at, end))) {
        at = behind;
        ++*records;
        if (*at != ',')
            break;
    }
    return at;
}

FLAT const uint8_t *
VECTORS(deal_by_route)(struct pump *pump, const uint8_t *at, const uint8_t *end, uint64_t *records)
{
    switch ((enum pump_route)pump->config.route) {
    case PUMP_ROUTE_SYMBOL:
        return VECTORS(deal_by_symbol)(pump, at, end, records);
    case PUMP_ROUTE_LEAST_BACKLOG:
        return VECTORS(deal_by_backlog)(pump, at, end, records);
    case PUMP_ROUTE_KEY:
        return at;
    case PUMP_ROUTE_ROUND_ROBIN:
        break;
    }
    return VECTORS(deal_in_turn)(pump, at, end, records);
}

__attribute__((target(VECTORS_TARGET))) static size_t
VECTORS(deal_run)(struct pump *pump, const uint8_t *text, const uint8_t *end, uint8_t state)
{
    if (*text != (state == SCAN_START ? '[' : ','))
        return 0;
    uint64_t records = 0;
    const uint8_t *at = VECTORS(deal_by_route)(pump, text, end, &records);
    const size_t dealt_bytes = (size_t)(at - text);
    pump->counters.records_total += records;
    pump->counters.record_bytes_total += dealt_bytes - records; /* without the separators */
    return dealt_bytes;
}

#undef FLAT
