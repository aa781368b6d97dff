/* The fast path: records in a layout that was seen before, with the vectors of the file that includes this.
 *
 * Guessed, then proven (proof.h), then read (rows.h). What can't be proven is left to the exact decoder in fill.c. Records are taken in
 * groups, step by step: within one record each step waits for the one before, between records none does.
 *
 * Before it is included:
 *   FAST               static inline, with the target of the vectors
 *   struct bits        RECORD_WORDS words of 64 bits, as one number
 *   struct bad_digits  whether any byte was taken for a digit that is none; NO_BAD_DIGITS: not yet
 * and behind it, what proof.h and rows.h declare as to be had from there. */
#include "decoder.h"
#include "fast_run.h"
#include "number.h"

#include <math.h>

#include "proof.h"

#include "rows.h"

enum { GROUP_RECORDS = 16, AHEAD_BYTES = 3072 };

/* Finds the event by what follows the head; the number of events where it is none of them. */
FAST uint32_t find_event(struct columns_decoder *decoder, const uint8_t *record)
{
    const uint64_t name = load_64(record + RECORD_HEAD_BYTES);
    uint32_t event = decoder->last_event;
    if (!((name ^ decoder->head[event].word) & decoder->head[event].mask))
        return event;
    for (event = 0; event < decoder->events; event++)
        if (!((name ^ decoder->head[event].word) & decoder->head[event].mask)) {
            decoder->last_event = event;
            break;
        }
    return event;
}

/* Whether there is any use in looking at the record. */
FAST int is_candidate(struct columns_decoder *decoder, struct candidate *candidate)
{
    const uint8_t *record = candidate->record;
    const size_t length = candidate->length;
    if (length < RECORD_MIN_BYTES || length > RECORD_MAX_BYTES || memcmp(record, RECORD_HEAD, RECORD_HEAD_BYTES) ||
        record[length - 1] != '}')
        return 0;
    candidate->event = find_event(decoder, record);
    return candidate->event < decoder->events;
}

/* How many records from the first one on are a run, `most` of them, and have room in their table. */
FAST uint32_t run_length(const struct columns_decoder *decoder, const struct columns_block *block, struct candidate *candidate,
                         uint32_t most)
{
    const struct columns_table *table = &block->table[candidate->event];
    const uint32_t rows = block->rows_capacity - table->rows;
    size_t text_bytes = table->text_bytes;
    uint32_t length = 0;
    for (; length < most && length < rows; length++) {
        struct candidate *next = &candidate[length];
        if (!next->is_proven || next->event != candidate->event || text_bytes + next->length > block->text_capacity)
            break;
        if (!next->layout)
            next->layout = find_layout(&decoder->layouts, next);
        if (!next->layout)
            break;
        text_bytes += next->length;
    }
    return length;
}

/* Asks for what will be looked at some groups later: the length of each record tells only then where the next one is. */
FAST void fetch_ahead(const uint8_t *bytes)
{
    for (size_t line = 0; line < 3 * WORD_BYTES; line += WORD_BYTES)
        __builtin_prefetch(bytes + AHEAD_BYTES + line);
}

/* Finds the next records of whole frames. Returns how many. */
FAST uint32_t find_records(const uint8_t *bytes, size_t length, struct candidate *group)
{
    uint32_t records = 0;
    for (size_t at = 0; records < GROUP_RECORDS && length - at >= FRAME_LENGTH_BYTES; records++) {
        const size_t record_bytes = load_32(bytes + at);
        fetch_ahead(bytes + at);
        at += FRAME_LENGTH_BYTES;
        if (record_bytes > length - at)
            break;
        group[records].record = bytes + at;
        group[records].length = record_bytes;
        at += record_bytes;
    }
    return records;
}

/* The first two steps. */
FAST void prove_records(struct columns_decoder *decoder, struct candidate *group, uint32_t records)
{
    for (uint32_t i = 0; i < records; i++) {
        group[i].layout = NULL;
        group[i].is_proven = (uint32_t)is_candidate(decoder, &group[i]);
        if (group[i].is_proven)
            look_at_record(&group[i]);
    }
    for (uint32_t i = 0; i < records; i++)
        if (group[i].is_proven)
            group[i].is_proven = (uint32_t)is_proven(&group[i].looks, group[i].length);
}

/* Decodes the records of a group, runs of them by the fast path and others exactly. Returns how many it has decoded, and in *rc 0,
 * COLUMNS_FULL or an error. */
FAST uint32_t take_records(struct columns_decoder *decoder, struct columns_block *block, struct candidate *group, uint32_t records,
                           int *rc)
{
    uint32_t taken = 0, most = records;
    while (taken < records && *rc == 0) {
        struct candidate *candidate = &group[taken];
        const uint32_t left = records - taken;
        const uint32_t length = candidate->is_proven ? run_length(decoder, block, candidate, left < most ? left : most) : 0;
        most = records;
        if (length && take_run(decoder, block, candidate, length)) {
            taken += length;
        } else if (length > 1) {
            most = length / 2; /* until the record is found that is not as it should be */
        } else {
            *rc = take_exactly(decoder, block, candidate->record, candidate->length, candidate->is_proven && !candidate->layout);
            taken += *rc == 0;
        }
    }
    return taken;
}

/* Decodes whole frames. Returns 0, COLUMNS_FULL or an error; *consumed_bytes tells how far it came. */
FAST int decode_frames(struct columns_decoder *decoder, struct columns_block *block, const uint8_t *bytes, size_t length,
                       size_t *consumed_bytes)
{
    struct candidate group[GROUP_RECORDS];
    const uint8_t *at = bytes, *end = bytes + length;
    uint32_t records, taken;
    int rc = 0;
    do {
        records = find_records(at, (size_t)(end - at), group);
        prove_records(decoder, group, records);
        taken = take_records(decoder, block, group, records, &rc);
        if (taken)
            at = group[taken - 1].record + group[taken - 1].length;
    } while (records && rc == 0);
    *consumed_bytes = (size_t)(at - bytes);
    return rc;
}
