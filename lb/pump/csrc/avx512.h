/* A flat object copied and its end proven with the vectors of AVX-512: 64 bytes at once. For deal_flat.h. */
#ifndef AVX512_H
#define AVX512_H

#include "pump_state.h"

#include <immintrin.h>

#define AVX512_TARGET "avx512bw,bmi,bmi2,popcnt"
#define AVX512 static inline __attribute__((always_inline, target(AVX512_TARGET)))

enum { AVX512_BYTES = 64 };

struct avx512_constants {
    __m512i head_above;
    __m512i above;
    __m512i backslash;
    __m512i quote;
};

AVX512 struct avx512_constants avx512_constants(const struct flat_vectors *flat)
{
    return (struct avx512_constants){
        .head_above = _mm512_load_si512(flat->head_above),
        .above = _mm512_load_si512(flat->above),
        .backslash = _mm512_load_si512(flat->backslash),
        .quote = _mm512_load_si512(flat->quote),
    };
}

/* Copies one vector. Returns which bytes are plain: below those of `above`, and no backslash. */
AVX512 __mmask64 avx512_copy(const struct avx512_constants *constants, __m512i above, uint8_t *to, const uint8_t *from,
                             uint64_t *quotes)
{
    const __m512i block = _mm512_loadu_si512(from);
    _mm512_storeu_si512(to, block);
    *quotes = _mm512_cmpeq_epi8_mask(block, constants->quote);
    return _mm512_mask_cmpneq_epu8_mask(_mm512_cmplt_epu8_mask(block, above), block, constants->backslash);
}

/* See deal_flat.h. */
AVX512 const uint8_t *avx512_copy_flat(const struct avx512_constants *constants, uint8_t *to, const uint8_t *object)
{
    uint64_t quotes, odd; /* odd: where an odd number of the blocks before has a quote; its parity is that of all quotes */
    const __mmask64 plain = avx512_copy(constants, constants->head_above, to, object, &odd);
    if (!_kortestc_mask64_u8(plain, plain))
        return NULL; /* no object worth the hurry ends in its first block */
#pragma GCC unroll 8
    for (size_t at = AVX512_BYTES; at < FLAT_MAX_BYTES; at += AVX512_BYTES) {
        /* its lowest bit set is where the first special byte is: the carry runs through all that is plain */
        const uint64_t special = avx512_copy(constants, constants->above, to + at, object + at, &quotes) + 1;
        if (special) {
            const unsigned in_block = (unsigned)_tzcnt_u64(special);
            const uint8_t *end = object + at + in_block;
            const long long count = _mm_popcnt_u64(odd ^ _bzhi_u64(quotes, in_block));
            return *end == '}' && !(count & 1) ? end : NULL;
        }
        odd ^= quotes;
    }
    return NULL;
}

#endif
