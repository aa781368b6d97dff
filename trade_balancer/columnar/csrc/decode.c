/* From the bytes of a pipe to the rows of a block: the fast path for as long as it goes, the exact decoder for the record that it leaves. */
#include "decoder.h"
#include "fast_run.h"
#include "fill.h"

#include <stdlib.h>

enum { TAIL_BYTES = 512 }; /* two records of the fast path, or many small ones */

struct columns_decoder *columns_new(const struct columns_event *events, uint32_t count, uint32_t widest_vectors)
{
    struct columns_decoder *decoder = count <= COLUMNS_EVENTS_MAX ? calloc(1, sizeof *decoder) : NULL;
    if (!decoder)
        return NULL;
    decoder->events = count;
    for (uint32_t i = 0; i < count; i++) {
        decoder->event[i] = events[i];
        event_head_init(&decoder->head[i], events[i].name);
        fill_init(&decoder->words[i], &events[i]);
    }
    if (widest_vectors >= COLUMNS_AVX512 && fast_has_avx512())
        decoder->vectors = COLUMNS_AVX512;
    else if (widest_vectors >= COLUMNS_AVX2 && fast_has_avx2())
        decoder->vectors = COLUMNS_AVX2;
    if (symbols_init(&decoder->symbols)) {
        free(decoder);
        return NULL;
    }
    return decoder;
}

void columns_free(struct columns_decoder *decoder)
{
    symbols_free(&decoder->symbols);
    free(decoder);
}

void columns_counters(const struct columns_decoder *decoder, struct columns_counters *counters)
{
    *counters = decoder->counters;
}

uint32_t columns_vectors(const struct columns_decoder *decoder)
{
    return decoder->vectors;
}

int take_exactly(struct columns_decoder *decoder, struct columns_block *block, const uint8_t *record, size_t length, int is_new_layout)
{
    uint32_t event;
    const int rc = fill_record(decoder, block, record, length, &event);
    if (rc == FILL_NO_ROOM)
        return COLUMNS_FULL;
    if (rc < 0)
        return rc;
    decoder->counters.exact_total++;
    if (rc == FILL_ROW && is_new_layout)
        decoder->counters.layouts_total += (uint64_t)layouts_learn(&decoder->layouts, event, &decoder->event[event], record, length);
    return 0;
}

static int fast_decode(struct columns_decoder *decoder, struct columns_block *block, const uint8_t *bytes, size_t length,
                       size_t *consumed_bytes)
{
    switch (decoder->vectors) {
    case COLUMNS_AVX512: return fast_decode_avx512(decoder, block, bytes, length, consumed_bytes);
    case COLUMNS_AVX2: return fast_decode_avx2(decoder, block, bytes, length, consumed_bytes);
    default: return fast_decode_baseline(decoder, block, bytes, length, consumed_bytes);
    }
}

/* Decodes the whole frames that are too near to the end of the memory given for the fast path, which reads on behind a record: it gets
 * a copy of them. */
static int decode_tail(struct columns_decoder *decoder, struct columns_block *block, const uint8_t *bytes, size_t length, size_t *at)
{
    uint8_t tail[TAIL_BYTES + FAST_PAD_BYTES];
    int rc = 0;
    while (rc == 0 && length - *at >= FRAME_LENGTH_BYTES) {
        const uint8_t *frame = bytes + *at;
        const size_t rest = length - *at, record_bytes = load_32(frame);
        size_t taken = 0;
        if (rest - FRAME_LENGTH_BYTES < record_bytes)
            break;
        if (rest <= TAIL_BYTES) {
            memcpy(tail, frame, rest);
            memset(tail + rest, 0, FAST_PAD_BYTES);
            rc = fast_decode(decoder, block, tail, rest, &taken);
        } else {
            rc = take_exactly(decoder, block, frame + FRAME_LENGTH_BYTES, record_bytes, 0);
            taken = rc ? 0 : FRAME_LENGTH_BYTES + record_bytes;
        }
        *at += taken;
    }
    return rc;
}

int columns_decode(struct columns_decoder *decoder, struct columns_block *block, const uint8_t *bytes, size_t length,
                   size_t *consumed_bytes)
{
    const uint32_t records_before = block->records;
    size_t at = 0;
    int rc = fast_decode(decoder, block, bytes, length > FAST_PAD_BYTES ? length - FAST_PAD_BYTES : 0, &at);
    if (rc == 0)
        rc = decode_tail(decoder, block, bytes, length, &at);
    const uint32_t records = block->records - records_before;
    decoder->counters.records_total += records;
    decoder->counters.record_bytes_total += at - (size_t)records * FRAME_LENGTH_BYTES;
    *consumed_bytes = at;
    block_finish(block);
    return rc;
}

uint32_t columns_symbols(const struct columns_decoder *decoder)
{
    return decoder->symbols.count;
}

const uint8_t *columns_symbol(const struct columns_decoder *decoder, uint32_t code, size_t *length)
{
    const struct symbol_store *store = decoder->symbols.store;
    *length = (size_t)(store->offsets[code + 1] - store->offsets[code]);
    return store->bytes + store->offsets[code];
}

int64_t columns_symbol_code(const struct columns_decoder *decoder, const uint8_t *symbol, size_t length)
{
    return symbols_find(&decoder->symbols, symbol, length);
}
