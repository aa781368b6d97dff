/* deal_flat.h with the vectors of AVX-512: 64 bytes at once. Only on CPUs that run them at full speed: those that have AVX-512 VBMI2
 * (Ice Lake, Zen 4 and later); before those, wide vectors lowered the clock. */
#include "deal.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define AVX512 __attribute__((target("avx512bw,bmi,bmi2,popcnt")))
#define FLAT static inline __attribute__((always_inline, target("avx512bw,bmi,bmi2,popcnt")))

enum { BLOCK_BYTES = 64 };

struct vectors {
    __m512i head_above;
    __m512i above;
    __m512i backslash;
    __m512i quote;
};

FLAT struct vectors load_vectors(const struct flat_vectors *flat)
{
    return (struct vectors){_mm512_load_si512(flat->head_above), _mm512_load_si512(flat->above),
                            _mm512_load_si512(flat->backslash), _mm512_load_si512(flat->quote)};
}

/* Copies 64 bytes. Returns which are plain: below those of `above`, and no backslash. */
FLAT __mmask64 copy_block(const struct vectors *vectors, __m512i above, uint8_t *to, const uint8_t *from, uint64_t *quotes)
{
    const __m512i block = _mm512_loadu_si512(from);
    _mm512_storeu_si512(to, block);
    *quotes = _mm512_cmpeq_epi8_mask(block, vectors->quote);
    return _mm512_mask_cmpneq_epu8_mask(_mm512_cmplt_epu8_mask(block, above), block, vectors->backslash);
}

FLAT const uint8_t *copy_flat(const struct vectors *vectors, uint8_t *to, const uint8_t *record)
{
    uint64_t quotes, odd; /* odd: set where an odd number of the blocks before has a quote; its parity is that of all quotes */
    const __mmask64 plain = copy_block(vectors, vectors->head_above, to, record, &odd);
    if (!_kortestc_mask64_u8(plain, plain))
        return NULL; /* no record worth the hurry ends in its first block */
#pragma GCC unroll 8
    for (size_t at = BLOCK_BYTES; at < FLAT_MAX_BYTES; at += BLOCK_BYTES) {
        /* its lowest bit set is where the first special byte is: the carry runs through all that is plain */
        const uint64_t special = copy_block(vectors, vectors->above, to + at, record + at, &quotes) + 1;
        if (special) {
            const unsigned in_block = (unsigned)_tzcnt_u64(special);
            const uint8_t *end = record + at + in_block;
            const long long count = _mm_popcnt_u64(odd ^ _bzhi_u64(quotes, in_block));
            return *end == '}' && !(count & 1) ? end : NULL;
        }
        odd ^= quotes;
    }
    return NULL;
}

#include "deal_flat.h"

int deal_has_avx512(void)
{
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}

AVX512 size_t deal_run_avx512(struct pump *pump, const uint8_t *text, const uint8_t *end, uint8_t state)
{
    return deal_flat_run(pump, text, end, state);
}

#else

int deal_has_avx512(void)
{
    return 0;
}

size_t deal_run_avx512(struct pump *pump, const uint8_t *text, const uint8_t *end, uint8_t state)
{
    (void)pump, (void)text, (void)end, (void)state;
    return 0;
}

#endif
