#include "deal.h"
#include "polygon.h"
#include "pump.h"
#include "shard.h"

#include <endian.h>
#include <string.h>

static inline uint32_t pipe_of(const struct pump *pump, const uint8_t *record, size_t length)
{
    struct polygon_span key;
    if (pump->config.route == PUMP_ROUTE_ROUND_ROBIN)
        return pump->next_pipe;
    return polygon_shard_key(record, length, &key) ? shard_of(key.bytes, key.length, pump->config.pipes) : 0;
}

/* Copies in whole vectors, past the record's end on both sides: the input and every outbox end in DEAL_PAD_BYTES for that. A
 * call of memcpy() costs more than a trade's bytes. */
static inline void copy_record(uint8_t *to, const uint8_t *from, size_t length)
{
    for (size_t at = 0; at < length; at += SCAN_PAD_BYTES)
        memcpy(to + at, from + at, SCAN_PAD_BYTES);
}

/* Books one record that was dealt, and goes on to the next pipe. */
static inline void count_record(struct pump *pump)
{
    if (pump->config.route == PUMP_ROUTE_ROUND_ROBIN && ++pump->next_pipe == pump->config.pipes)
        pump->next_pipe = 0;
    pump->counters.records_total++;
}

/* Puts one record into its pipe's outbox. Returns 0, DEAL_FULL, or an error. */
static inline int deal_record(struct pump *pump, const uint8_t *record, size_t length)
{
    const uint32_t number = pipe_of(pump, record, length);
    struct pump_pipe *pipe = &pump->pipe[number];
    const size_t framed = PUMP_LENGTH_BYTES + length;
    if (__builtin_expect(pipe->tail + framed > pipe->limit, 0)) {
        const int room = outbox_make_room(pump, number, framed);
        if (room < 0)
            return room;
        if (room == 0 && pipe->policy == PUMP_POLICY_DROP_NEWEST) {
            pipe->dropped_total++;
            count_record(pump);
            return 0;
        }
        if (room == 0) {
            pump->held_pipe = number;
            return DEAL_FULL;
        }
    }
    uint8_t *frame = pump_at(pump, pipe->tail);
    const uint32_t wire_length = htole32((uint32_t)length);
    memcpy(frame, &wire_length, PUMP_LENGTH_BYTES);
    copy_record(frame + PUMP_LENGTH_BYTES, record, length);
    pipe->tail += framed;
    deal_count(pump, pipe);
    count_record(pump);
    pump->counters.record_bytes_total += length;
    return 0;
}

static int notice_event(struct pump *pump, size_t length)
{
    pump->detail_offset = pump->input_offset + pump->text_begin;
    pump->detail.length = length;
    pump->text_begin += length;
    pump->counters.notices_total++;
    return PUMP_NOTICE;
}

/* Keeps a sample of a record that no fast path could cut, one for each event. */
static void note_layout(struct pump *pump, const uint8_t *record, size_t length)
{
    struct polygon_span event = {record, 0};
    polygon_find_string(record, length, "ev", &event);
    const uint64_t hash = shard_hash(event.bytes, event.length);
    for (uint32_t i = 0; i < pump->layout_count; i++)
        if (pump->layouts[i].event_hash == hash)
            return;
    if (pump->layout_count == PUMP_LAYOUTS_MAX)
        return;
    struct pump_sample *sample = &pump->layouts[pump->layout_count++];
    sample->event_hash = hash;
    sample->length = length < PUMP_SAMPLE_BYTES ? length : PUMP_SAMPLE_BYTES;
    memcpy(sample->bytes, record, sample->length);
}

int pump_layout(const struct pump *pump, uint32_t index, struct pump_sample *sample)
{
    if (index >= pump->layout_count)
        return 0;
    *sample = pump->layouts[index];
    return 1;
}

/* How a record was found. */
enum cut {
    CUT_FLAT = 1, /* by scan_flat() */
    CUT_EXACT,    /* by scan_next(): it began in an earlier read, or after white space */
    CUT_MISSED    /* by scan_next(), after scan_flat() could not prove its end */
};

/* Cuts the next record. Returns how, with its length, 0 when the text is used up, or an error; text_begin is moved past what is
 * done. */
static inline int cut_record(struct pump *pump, size_t *length)
{
    const uint8_t *text = pump_text(pump);
    const size_t available = pump->text_end - pump->text_begin;
    const int is_tried = scan_at_opener(&pump->scan, text, available);
    if (is_tried) {
        *length = scan_flat(text + 1, available - 1);
        if (*length) {
            pump->scan.state = SCAN_BEHIND;
            pump->text_begin++;
            return CUT_FLAT;
        }
    }
    struct scan_span record;
    const int rc = scan_next(&pump->scan, text, available, &record);
    pump->text_begin += record.start;
    if (rc <= 0)
        return rc;
    *length = record.length;
    return is_tried ? CUT_MISSED : CUT_EXACT;
}

/* Takes the held record, or cuts the next; as cut_record(). */
static inline int next_record(struct pump *pump, size_t *length)
{
    *length = pump->held_bytes;
    pump->held_bytes = 0;
    if (*length)
        return pump->held_cut;
    const int cut = cut_record(pump, length);
    if (cut < 0 || (cut ? *length : pump->scan.scanned) <= pump->config.max_frame_bytes)
        return cut;
    scan_skip(&pump->scan);
    return PUMP_ERR_RECORD_TOO_BIG;
}

void deal_init(struct pump *pump, uint32_t widest)
{
    if (widest >= PUMP_VECTORS_AVX512 && deal_has_avx512())
        pump->vectors = PUMP_VECTORS_AVX512;
    else if (widest >= PUMP_VECTORS_AVX2 && deal_has_avx2())
        pump->vectors = PUMP_VECTORS_AVX2;
    struct flat_vectors *flat = &pump->flat;
    memset(flat->above, '{', sizeof flat->above);
    memset(flat->backslash, '\\', sizeof flat->backslash);
    memset(flat->quote, '"', sizeof flat->quote);
    memcpy(flat->head_above, flat->above, sizeof flat->head_above);
    flat->head_above[0] = '{' + 1;
    flat->head_above[POLYGON_EVENT_BYTES] = '\\';
}

int deal_text(struct pump *pump)
{
    while (pump->text_begin < pump->text_end) {
        size_t length;
        if (!pump->held_bytes && (pump->scan.state == SCAN_BEHIND || pump->scan.state == SCAN_START)) {
            const size_t dealt_bytes = deal_run(pump, pump_text(pump), pump->text_end - pump->text_begin, pump->scan.state);
            pump->text_begin += dealt_bytes;
            if (dealt_bytes)
                pump->scan.state = SCAN_BEHIND;
        }
        const int cut = next_record(pump, &length);
        if (cut <= 0)
            return cut;
        const uint8_t *record = pump_text(pump);
        if (polygon_is_status(record, length))
            return notice_event(pump, length);
        const int rc = deal_record(pump, record, length);
        if (rc) {
            pump->held_bytes = length;
            pump->held_cut = (uint8_t)cut;
            return rc;
        }
        pump->text_begin += length;
        pump->counters.records_exact_total += cut != CUT_FLAT;
        if (cut == CUT_MISSED)
            note_layout(pump, record, length);
    }
    return 0;
}
