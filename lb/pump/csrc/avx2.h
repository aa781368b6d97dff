/* A flat object copied and its end proven with the vectors of AVX2: 32 bytes at once. For deal_flat.h. */
#ifndef AVX2_H
#define AVX2_H

#include "pump_state.h"

#include <immintrin.h>

#define AVX2_TARGET "avx2,bmi,bmi2,popcnt"
#define AVX2 static inline __attribute__((always_inline, target(AVX2_TARGET)))

enum { AVX2_BYTES = 32 };

struct avx2_constants {
    __m256i head_lift; /* saturating: sets the top bit of every byte that is not below head_above */
    __m256i lift;
    __m256i backslash;
    __m256i quote;
};

AVX2 __m256i avx2_load(const uint8_t *bytes)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)bytes);
}

AVX2 struct avx2_constants avx2_constants(const struct flat_vectors *flat)
{
    const __m256i top = _mm256_set1_epi8((char)0x80);
    return (struct avx2_constants){
        .head_lift = _mm256_sub_epi8(top, avx2_load(flat->head_above)),
        .lift = _mm256_sub_epi8(top, avx2_load(flat->above)),
        .backslash = avx2_load(flat->backslash),
        .quote = avx2_load(flat->quote),
    };
}

/* Copies one vector. The top bit of each byte of *specials tells whether `lift` lifts it, or it is a backslash. */
AVX2 void avx2_copy(const struct avx2_constants *constants, __m256i lift, uint8_t *to, const uint8_t *from,
                    __m256i *specials, __m256i *quotes)
{
    const __m256i block = avx2_load(from);
    _mm256_storeu_si256((__m256i *)(void *)to, block);
    *quotes = _mm256_cmpeq_epi8(block, constants->quote);
    *specials = _mm256_or_si256(_mm256_adds_epu8(block, lift), _mm256_cmpeq_epi8(block, constants->backslash));
}

/* See deal_flat.h. */
AVX2 const uint8_t *avx2_copy_flat(const struct avx2_constants *constants, uint8_t *to, const uint8_t *object)
{
    __m256i first, second, specials, quotes, odd; /* odd: set where an odd number of the blocks before has a quote */
    size_t at = AVX2_BYTES;
    avx2_copy(constants, constants->head_lift, to, object, &first, &odd);
    avx2_copy(constants, constants->lift, to + at, object + at, &second, &quotes);
    if (_mm256_movemask_epi8(_mm256_or_si256(first, second)))
        return NULL; /* no object worth the hurry ends in its first two blocks */
#pragma GCC unroll 8
    for (at += AVX2_BYTES; at < FLAT_MAX_BYTES; at += AVX2_BYTES) {
        odd = _mm256_xor_si256(odd, quotes);
        avx2_copy(constants, constants->lift, to + at, object + at, &specials, &quotes);
        const unsigned special = (unsigned)_mm256_movemask_epi8(specials);
        if (special) {
            const unsigned in_block = _tzcnt_u32(special);
            const uint8_t *end = object + at + in_block;
            const unsigned last = _bzhi_u32((unsigned)_mm256_movemask_epi8(quotes), in_block);
            const unsigned count = (unsigned)_mm_popcnt_u32(last ^ (unsigned)_mm256_movemask_epi8(odd));
            return *end == '}' && !(count & 1) ? end : NULL;
        }
    }
    return NULL;
}

#endif
