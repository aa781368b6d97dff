/* deal_flat.h with the vectors of AVX2: 32 bytes at once. */
#include "deal.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt")))
#define FLAT static inline __attribute__((always_inline, target("avx2,bmi,bmi2,popcnt")))

enum { BLOCK_BYTES = 32 };

struct vectors {
    __m256i head_lift; /* saturating: sets the top bit of every byte that is not below head_above */
    __m256i lift;
    __m256i backslash;
    __m256i quote;
};

FLAT __m256i load_block(const uint8_t *bytes)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)bytes);
}

FLAT struct vectors load_vectors(const struct flat_vectors *flat)
{
    const __m256i top = _mm256_set1_epi8((char)0x80);
    return (struct vectors){_mm256_sub_epi8(top, load_block(flat->head_above)), _mm256_sub_epi8(top, load_block(flat->above)),
                            load_block(flat->backslash), load_block(flat->quote)};
}

/* Copies 32 bytes. The top bit of each byte of *specials tells whether `lift` lifts it, or it is a backslash. */
FLAT void copy_block(const struct vectors *vectors, __m256i lift, uint8_t *to, const uint8_t *from, __m256i *specials, __m256i *quotes)
{
    const __m256i block = load_block(from);
    _mm256_storeu_si256((__m256i *)(void *)to, block);
    *quotes = _mm256_cmpeq_epi8(block, vectors->quote);
    *specials = _mm256_or_si256(_mm256_adds_epu8(block, lift), _mm256_cmpeq_epi8(block, vectors->backslash));
}

FLAT const uint8_t *copy_flat(const struct vectors *vectors, uint8_t *to, const uint8_t *record)
{
    __m256i first, second, specials, quotes, odd; /* odd: set where an odd number of the blocks before has a quote */
    size_t at = BLOCK_BYTES;
    copy_block(vectors, vectors->head_lift, to, record, &first, &odd);
    copy_block(vectors, vectors->lift, to + at, record + at, &second, &quotes);
    if (_mm256_movemask_epi8(_mm256_or_si256(first, second)))
        return NULL; /* no record worth the hurry ends in its first two blocks */
#pragma GCC unroll 8
    for (at += BLOCK_BYTES; at < FLAT_MAX_BYTES; at += BLOCK_BYTES) {
        odd = _mm256_xor_si256(odd, quotes);
        copy_block(vectors, vectors->lift, to + at, record + at, &specials, &quotes);
        const unsigned special = (unsigned)_mm256_movemask_epi8(specials);
        if (special) {
            const unsigned in_block = _tzcnt_u32(special);
            const uint8_t *end = record + at + in_block;
            const unsigned last = _bzhi_u32((unsigned)_mm256_movemask_epi8(quotes), in_block);
            const unsigned count = (unsigned)_mm_popcnt_u32(last ^ (unsigned)_mm256_movemask_epi8(odd));
            return *end == '}' && !(count & 1) ? end : NULL;
        }
    }
    return NULL;
}

#include "deal_flat.h"

int deal_has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("popcnt");
}

AVX2 size_t deal_run_avx2(struct pump *pump, const uint8_t *text, const uint8_t *end, uint8_t state)
{
    return deal_flat_run(pump, text, end, state);
}

#else

int deal_has_avx2(void)
{
    return 0;
}

size_t deal_run_avx2(struct pump *pump, const uint8_t *text, const uint8_t *end, uint8_t state)
{
    (void)pump, (void)text, (void)end, (void)state;
    return 0;
}

#endif
