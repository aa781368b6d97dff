/* Dealing, as far as it is the same for every layout: a record into its outbox, or to the caller. */
#ifndef DEAL_H
#define DEAL_H

#include "layout.h"
#include "outbox.h"
#include "readers.h"

#include <endian.h>
#include <string.h>

/* How a record was found. */
enum deal_cut {
    CUT_FLAT = 1, /* by scan_flat() */
    CUT_EXACT,    /* by scan_next(): it began in an earlier read, or after white space */
    CUT_MISSED    /* by scan_next(), after scan_flat() could not prove its end */
};

/* Books one record that was put into the outbox of this pipe. */
static inline __attribute__((always_inline)) void deal_count(struct pump *pump, struct pump_pipe *pipe)
{
    pipe->dealt_total++;
    outbox_touch(pump, pipe);
}

/* Books one record that was dealt, and goes on to the next pipe. */
static inline void deal_next_turn(struct pump *pump)
{
    if (pump->config.route == PUMP_ROUTE_ROUND_ROBIN && ++pump->next_pipe == pump->config.pipes)
        pump->next_pipe = 0;
    pump->counters.records_total++;
}

/* Copies in whole vectors, past the record's end on both sides: the input and every outbox end in DEAL_PAD_BYTES for
 * that. A call of memcpy() costs more than a trade's bytes. */
static inline __attribute__((always_inline)) void deal_copy(uint8_t *to, const uint8_t *from, size_t length)
{
    for (size_t at = 0; at < length; at += SCAN_PAD_BYTES)
        memcpy(to + at, from + at, SCAN_PAD_BYTES);
}

/* The pipe has no room. Returns 0 where the record was dropped, DEAL_FULL where it must wait, or an error. */
static inline int deal_without_room(struct pump *pump, uint32_t number, int room)
{
    if (room < 0)
        return room;
    struct pump_pipe *pipe = &pump->pipe[number];
    if (pipe->policy == PUMP_POLICY_DROP_NEWEST || pipe->policy == PUMP_POLICY_DROP_OLDEST) {
        pump->held_bytes = 0;
        pipe->dropped_total++;
        outbox_touch(pump, pipe); /* its counters are part of the next checkpoint */
        deal_next_turn(pump);
        return 0;
    }
    pump->held_pipe = number;
    return DEAL_FULL;
}

/* Puts one record into the outbox of this pipe. Returns 0, DEAL_FULL, or an error. */
static inline int deal_record(struct pump *pump, uint32_t number, const uint8_t *record, size_t length, int cut)
{
    struct pump_pipe *pipe = &pump->pipe[number];
    const size_t framed = PUMP_LENGTH_BYTES + length;
    if (__builtin_expect(pipe->tail + framed > pipe->limit, 0)) {
        pump->held_bytes = length; /* to make room, bytes are written: whoever adopts the pump then deals this record next */
        pump->held_cut = (uint8_t)cut;
        const int room = outbox_make_room(pump, number, framed);
        pump->is_saved = 0;
        if (room <= 0)
            return deal_without_room(pump, number, room);
        pump->held_bytes = 0;
    }
    uint8_t *frame = pump_at(pump, pipe->tail);
    const uint32_t wire_length = htole32((uint32_t)length);
    memcpy(frame, &wire_length, PUMP_LENGTH_BYTES);
    deal_copy(frame + PUMP_LENGTH_BYTES, record, length);
    pipe->tail += framed;
    deal_count(pump, pipe);
    deal_next_turn(pump);
    pump->counters.record_bytes_total += length;
    return 0;
}

/* Books a record that no pipe wants. */
static inline int deal_to_no_pipe(struct pump *pump)
{
    pump->counters.unwanted_total++;
    return 0;
}

/* The record in hand is the venue's own word: it is done with, and told. */
static inline int deal_notice(struct pump *pump, size_t length)
{
    pump->detail_offset = pump->input_offset + pump->text_begin;
    pump->detail.length = length;
    pump->text_begin += length;
    pump->counters.notices_total++;
    return PUMP_NOTICE;
}

#endif
