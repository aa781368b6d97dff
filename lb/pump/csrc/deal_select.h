/* The fast path while there are readers, or while pipes do not want every record. A part of layout_row.h, once for each
 * kind of vectors, behind deal_flat.h. The same proofs; a kind of one letter and a key decide who gets a record. */

#define FLAT static inline __attribute__((always_inline, target(VECTORS_TARGET)))

/* Where a record ends that no pipe wants, or NULL, as deal_next(). */
FLAT const uint8_t *VECTORS(pass_over)(struct pump *pump, const struct VECTORS(constants) *constants, const uint8_t *at,
                                       const uint8_t *end)
{
    if (!LAYOUT(is_quick)(at + 1))
        return NULL;
    const uint8_t *brace = VECTORS(copy_flat)(constants, pump->readers->scratch, at + 1);
    if (!brace || brace >= end)
        return NULL;
    pump->counters.unwanted_total++;
    return brace + 1;
}

/* Deals one record to its pipe. Returns as deal_next(). */
FLAT const uint8_t *VECTORS(deal_wanted)(struct pump *pump, const struct VECTORS(constants) *constants, const uint8_t *at,
                                         uint64_t hash, const uint8_t *end)
{
    const int is_in_turn = pump->config.route == PUMP_ROUTE_ROUND_ROBIN;
    const int is_by_symbol = pump->config.route == PUMP_ROUTE_SYMBOL;
    const uint32_t number = is_in_turn     ? pump->next_pipe
                            : is_by_symbol ? shard_pipe(hash, pump->config.pipes)
                                           : backlog_pipe(pump);
    const uint8_t *behind = VECTORS(deal_next)(pump, pump->pipe + number, constants, at, end);
    if (!behind)
        return NULL;
    if (is_in_turn && ++pump->next_pipe == pump->config.pipes)
        pump->next_pipe = 0;
    pump->counters.records_total++;
    pump->counters.record_bytes_total += (uint64_t)(behind - at) - 1;
    return behind;
}

__attribute__((target(VECTORS_TARGET))) static size_t
VECTORS(deal_selected)(struct pump *pump, const uint8_t *text, const uint8_t *end, uint8_t state)
{
    const struct VECTORS(constants) constants = VECTORS(constants)(&pump->flat);
    const uint8_t *at = text;
    if (*text != (state == SCAN_START ? '[' : ','))
        return 0;
    do {
        const uint8_t *record = at + 1;
        const uint8_t *key = LAYOUT(quick_key)(record), *behind;
        uint64_t hash;
        if (!key || !shard_hash_until(key, LAYOUT_KEY_END, &hash))
            break;
        const struct wanted wanted =
            topics_of_letter(&pump->readers->topics, LAYOUT(quick_letter)(record), key, LAYOUT_KEY_END, hash);
        behind = wanted.pipes ? VECTORS(deal_wanted)(pump, &constants, at, hash, end)
                              : VECTORS(pass_over)(pump, &constants, at, end);
        if (!behind)
            break;
        if (wanted.readers)
            readers_offer(pump->readers, wanted.readers, record, (size_t)(behind - record));
        at = behind;
    } while (*at == ',');
    return (size_t)(at - text);
}

#undef FLAT
