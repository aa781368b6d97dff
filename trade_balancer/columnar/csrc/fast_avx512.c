/* fast.h with the vectors of AVX-512: 64 bytes at once. Only on CPUs that have AVX-512 VBMI2 (Ice Lake, Zen 4 and later): it turns a mask
 * into places with one instruction, and earlier CPUs lowered their clock for wide vectors. */
#include "fast_run.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define AVX512 __attribute__((target("avx512bw,avx512vl,avx512vbmi2,bmi,bmi2,popcnt")))
#define FAST static inline __attribute__((always_inline, target("avx512bw,avx512vl,avx512vbmi2,bmi,bmi2,popcnt")))

struct bits {
    __m256i words;
};

struct bad_digits {
    __m128i highest; /* of all that were taken for digits, minus '0' */
};
#define NO_BAD_DIGITS ((struct bad_digits){_mm_setzero_si128()})

#include "fast.h"
#include "fast_bits.h"
#include "fast_digits.h"

FAST void look_at(const uint8_t *bytes, uint32_t word, struct looks *looks)
{
    const __m512i here = _mm512_loadu_si512(bytes), before = _mm512_loadu_si512(bytes - 1);
    looks->quote[word] = _mm512_cmpeq_epi8_mask(here, _mm512_set1_epi8('"'));
    looks->comma[word] = _mm512_cmpeq_epi8_mask(here, _mm512_set1_epi8(','));
    looks->digit[word] = _mm512_cmplt_epu8_mask(_mm512_sub_epi8(here, _mm512_set1_epi8('0')), _mm512_set1_epi8(10));
    looks->zero[word] = _mm512_cmpeq_epi8_mask(here, _mm512_set1_epi8('0'));
    looks->point[word] = _mm512_cmpeq_epi8_mask(here, _mm512_set1_epi8('.'));
    looks->open[word] = _mm512_cmpeq_epi8_mask(here, _mm512_set1_epi8('['));
    looks->close[word] = _mm512_cmpeq_epi8_mask(here, _mm512_set1_epi8(']'));
    looks->name[word] = _mm512_mask_cmpeq_epi8_mask(_mm512_cmpeq_epi8_mask(before, _mm512_set1_epi8('"')), here, _mm512_set1_epi8(':'));
    looks->odd[word] = _mm512_cmplt_epi8_mask(here, _mm512_set1_epi8(0x20)) | /* signed: bytes over 0x7F as well */
                       _mm512_cmpeq_epi8_mask(here, _mm512_set1_epi8('\\'));
}

FAST uint32_t add_places(uint8_t *places, uint32_t count, size_t base, uint64_t mask)
{
    const __m512i counted = _mm512_set_epi64(
        0x3F3E3D3C3B3A3938, 0x3736353433323130, 0x2F2E2D2C2B2A2928, 0x2726252423222120, 0x1F1E1D1C1B1A1918, 0x1716151413121110,
        0x0F0E0D0C0B0A0908, 0x0706050403020100);
    const __m512i from_base = _mm512_add_epi8(counted, _mm512_set1_epi8((char)base));
    _mm512_storeu_si512(places + count, _mm512_maskz_compress_epi8(mask, from_base));
    return count + (uint32_t)_mm_popcnt_u64(mask);
}

FAST struct bits next_bits(struct bits bits)
{
    const __m256i word_before = _mm256_alignr_epi64(bits.words, _mm256_setzero_si256(), 3);
    return (struct bits){_mm256_shldi_epi64(bits.words, word_before, 1)};
}

FAST struct bits sum_bits(struct bits one, struct bits other)
{
    const __m256i sum = _mm256_add_epi64(one.words, other.words), full = _mm256_set1_epi64x(-1);
    const uint32_t carries = _mm256_cmplt_epu64_mask(sum, one.words), passes = _mm256_cmpeq_epi64_mask(sum, full);
    const __mmask8 add_one = (__mmask8)((carries * 2 + passes) ^ passes); /* a carry runs on through words that are full */
    return (struct bits){_mm256_mask_sub_epi64(sum, add_one, sum, full)};
}

FAST int words_differ(const struct layout *layout, const uint8_t *record, const uint8_t *colon_at)
{
    __mmask8 differ = 0;
    for (uint32_t i = 1; i < layout->members; i += NAMES_AT_ONCE) {
        const __m512i at = _mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i *)(const void *)(colon_at + i)));
        const __m512i words = _mm512_i64gather_epi64(at, (const void *)(record - 7), 1);
        const __m512i others = _mm512_xor_si512(words, _mm512_loadu_si512(layout->word + i));
        differ |= _mm512_test_epi64_mask(others, _mm512_loadu_si512(layout->mask + i));
    }
    return differ != 0;
}

int fast_has_avx512(void)
{
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi2") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}

AVX512 int fast_decode_avx512(struct columns_decoder *decoder, struct columns_block *block, const uint8_t *bytes, size_t length,
                              size_t *consumed_bytes)
{
    return decode_frames(decoder, block, bytes, length, consumed_bytes);
}

#else

int fast_has_avx512(void)
{
    return 0;
}

int fast_decode_avx512(struct columns_decoder *decoder, struct columns_block *block, const uint8_t *bytes, size_t length,
                       size_t *consumed_bytes)
{
    return fast_decode_baseline(decoder, block, bytes, length, consumed_bytes);
}

#endif
