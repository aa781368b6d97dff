/* The fast path for runs of flat records, in AVX2: cut and copied in one pass.
 *
 * The same proof as scan_flat(): no byte of the record is special before its closing brace, and the quotes before that are even in
 * number. Whatever can't be proven so, and whatever comes near a limit, is left to the general path in deal.c, record by record. */
#include "deal.h"

#if defined(__x86_64__)

#include <endian.h>
#include <immintrin.h>
#include <string.h>

#include "shard.h"

#define AVX2 __attribute__((target("avx2,bmi,popcnt")))
#define AVX2_INLINE static inline __attribute__((always_inline, target("avx2,bmi,popcnt")))

enum {
    BLOCK_BYTES = 32,
    FLAT_MAX_BYTES = 512,                  /* more than twice the longest trade; a longer record goes the general way */
    EVENT_BYTES = 7,                       /* {"ev":" holds three quotes */
    HEAD_BYTES = 16,                       /* {"ev":"T","sym": holds six */
    SYMBOL_AT = 17,
    SYMBOL_MAX_BYTES = 32,
    OPENER_AT_START = '[' | '{' << 8,      /* separator and brace, as a little-endian number */
    OPENER_BEHIND_RECORD = ',' | '{' << 8
};

_Static_assert(FLAT_MAX_BYTES + 2 * BLOCK_BYTES <= DEAL_PAD_BYTES, "whole blocks are loaded and stored, also of the last record");

struct masks {
    __m256i lift;      /* saturating: sets the top bit of every byte >= '{' */
    __m256i backslash;
    __m256i quote;
    __m128i head;
};

/* The text in hand: `at` is the separator before the next record. */
struct run {
    const uint8_t *at;
    const uint8_t *end;
    uint64_t records;
};

int deal_has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt");
}

AVX2_INLINE struct masks make_masks(void)
{
    return (struct masks){
        .lift = _mm256_set1_epi8((char)(0x80 - '{')),
        .backslash = _mm256_set1_epi8('\\'),
        .quote = _mm256_set1_epi8('"'),
        .head = _mm_setr_epi8('{', '"', 'e', 'v', '"', ':', '"', 'T', '"', ',', '"', 's', 'y', 'm', '"', ':'),
    };
}

AVX2_INLINE __m256i copy_block(uint8_t *to, const uint8_t *from)
{
    const __m256i block = _mm256_loadu_si256((const __m256i *)(const void *)from);
    _mm256_storeu_si256((__m256i *)(void *)to, block);
    return block;
}

/* The top bit of each byte tells whether it is special: '{' or above, or a backslash. */
AVX2_INLINE __m256i specials(const struct masks *masks, __m256i block)
{
    return _mm256_or_si256(_mm256_adds_epu8(block, masks->lift), _mm256_cmpeq_epi8(block, masks->backslash));
}

AVX2_INLINE __m256i quotes(const struct masks *masks, __m256i block)
{
    return _mm256_cmpeq_epi8(block, masks->quote);
}

/* Copies the record at `text` to `to`, from `at` on, up to its closing brace or a little further. Returns its length, or 0 where
 * that can't be proven. `odd`: whether the quotes before `at` are odd in number. No record worth the hurry ends within the first two
 * blocks. */
AVX2_INLINE size_t copy_flat(const struct masks *masks, uint8_t *to, const uint8_t *text, size_t at, unsigned odd)
{
    const __m256i first = copy_block(to + at, text + at);
    const __m256i second = copy_block(to + at + BLOCK_BYTES, text + at + BLOCK_BYTES);
    if (_mm256_movemask_epi8(_mm256_or_si256(specials(masks, first), specials(masks, second))))
        return 0;
    __m256i seen = _mm256_xor_si256(quotes(masks, first), quotes(masks, second));
    for (at += 2 * BLOCK_BYTES; at < FLAT_MAX_BYTES; at += BLOCK_BYTES) {
        const __m256i block = copy_block(to + at, text + at);
        const unsigned hits = (unsigned)_mm256_movemask_epi8(specials(masks, block));
        if (hits) {
            const unsigned last = (unsigned)_mm256_movemask_epi8(quotes(masks, block)) & _blsmsk_u32(hits);
            const unsigned count = (unsigned)_mm_popcnt_u32(last ^ (unsigned)_mm256_movemask_epi8(seen));
            const size_t end = at + _tzcnt_u32(hits);
            return text[end] == '}' && (count & 1) == odd ? end + 1 : 0;
        }
        seen = _mm256_xor_si256(seen, quotes(masks, block));
    }
    return 0;
}

/* Whether the record begins with {"ev":"T","sym": or the same of another capital letter: a quote, a backslash, a byte of a longer
 * character in its place would undo the proof. */
AVX2_INLINE int has_symbol_head(const struct masks *masks, __m128i head)
{
    const unsigned event = (unsigned)_mm_extract_epi8(head, EVENT_BYTES);
    return (_mm_movemask_epi8(_mm_cmpeq_epi8(head, masks->head)) | 1 << EVENT_BYTES) == 0xFFFF && event - 'A' < 26;
}

/* Whether the record begins with {"ev":"?, any event but one that may be a status. */
AVX2_INLINE int has_event_head(const uint8_t *record)
{
    uint64_t head;
    memcpy(&head, record, sizeof head);
    return be64toh(head) >> 8 == 0x7B226576223A22 && record[EVENT_BYTES] != 's';
}

/* Copies a flat record that is no status record. Returns its length, or 0. */
AVX2_INLINE size_t copy_event(const struct masks *masks, uint8_t *to, const uint8_t *record)
{
    const __m128i head = _mm_loadu_si128((const __m128i *)(const void *)record);
    _mm_storeu_si128((__m128i *)(void *)to, head);
    if (__builtin_expect(has_symbol_head(masks, head), 1))
        return copy_flat(masks, to, record, HEAD_BYTES, 0);
    return has_event_head(record) ? copy_flat(masks, to, record, EVENT_BYTES, 1) : 0;
}

AVX2_INLINE int at_record(const struct run *run, uint16_t opener)
{
    uint16_t bytes;
    memcpy(&bytes, run->at, sizeof bytes);
    return bytes == opener && run->at < run->end;
}

/* Puts the next record into the outbox. Returns 0 where it is left to the general path: no room, not proven, not received whole. */
AVX2_INLINE int deal_next(const struct pump *pump, struct pump_pipe *pipe, const struct masks *masks, struct run *run)
{
    uint8_t *frame = pump_at(pump, pipe->tail);
    if (pipe->tail + PUMP_LENGTH_BYTES + FLAT_MAX_BYTES > pipe->limit)
        return 0;
    const uint8_t *record = run->at + 1;
    const size_t length = copy_event(masks, frame + PUMP_LENGTH_BYTES, record);
    if (length == 0 || record + length > run->end)
        return 0;
    const uint32_t wire_length = htole32((uint32_t)length);
    memcpy(frame, &wire_length, PUMP_LENGTH_BYTES);
    pipe->tail += PUMP_LENGTH_BYTES + length;
    run->at = record + length;
    run->records++;
    return 1;
}

AVX2_INLINE void deal_in_turn(struct pump *pump, struct run *run, uint16_t opener)
{
    const struct masks masks = make_masks();
    struct pump_pipe *const last = pump->pipe + pump->config.pipes;
    struct pump_pipe *pipe = pump->pipe + pump->next_pipe;
    for (; at_record(run, opener) && deal_next(pump, pipe, &masks, run); opener = OPENER_BEHIND_RECORD)
        if (++pipe == last)
            pipe = pump->pipe;
    deal_count_in_turn(pump, run->records);
}

/* Finds the pipe of a stock's or option's trade, quote or aggregate. Returns 0 for any other record. */
AVX2_INLINE int find_pipe(const struct pump *pump, const struct masks *masks, const uint8_t *record, uint32_t *number)
{
    const uint8_t event = record[EVENT_BYTES];
    if (!has_symbol_head(masks, _mm_loadu_si128((const __m128i *)(const void *)record)) || record[HEAD_BYTES] != '"' ||
        (event != 'T' && event != 'Q' && event != 'A'))
        return 0;
    uint64_t hash = SHARD_BASIS;
    size_t at = SYMBOL_AT;
    for (; record[at] != '"'; at++) {
        if (at == SYMBOL_AT + SYMBOL_MAX_BYTES)
            return 0;
        hash = shard_step(hash, record[at]);
    }
    *number = shard_pipe(hash, pump->config.pipes);
    return 1;
}

AVX2_INLINE void deal_by_symbol(struct pump *pump, struct run *run, uint16_t opener)
{
    const struct masks masks = make_masks();
    uint32_t number;
    for (; at_record(run, opener); opener = OPENER_BEHIND_RECORD) {
        if (!find_pipe(pump, &masks, run->at + 1, &number) || !deal_next(pump, &pump->pipe[number], &masks, run))
            break;
        deal_count(pump, number);
    }
}

AVX2 void deal_flat_run(struct pump *pump)
{
    const uint8_t state = pump->scan.state;
    if (state != SCAN_BEHIND && state != SCAN_START)
        return;
    const uint16_t opener = state == SCAN_START ? OPENER_AT_START : OPENER_BEHIND_RECORD;
    const uint8_t *text = pump_text(pump);
    struct run run = {.at = text, .end = text + (pump->text_end - pump->text_begin)};
    if (pump->config.route == PUMP_ROUTE_ROUND_ROBIN)
        deal_in_turn(pump, &run, opener);
    else
        deal_by_symbol(pump, &run, opener);
    if (run.records == 0)
        return;
    const size_t dealt_bytes = (size_t)(run.at - text);
    const int is_last = run.end - run.at == 1 && *run.at == ']';
    pump->scan.state = is_last ? SCAN_END : SCAN_BEHIND;
    pump->text_begin += dealt_bytes + (size_t)is_last;
    pump->counters.records_total += run.records;
    pump->counters.record_bytes_total += dealt_bytes - run.records; /* without the separators */
}

#else

int deal_has_avx2(void)
{
    return 0;
}

void deal_flat_run(struct pump *pump)
{
    (void)pump;
}

#endif
