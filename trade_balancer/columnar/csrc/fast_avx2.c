/* fast.h with the vectors of AVX2: 32 bytes at once. */
#include "fast_run.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt")))
#define FAST static inline __attribute__((always_inline, target("avx2,bmi,bmi2,popcnt")))

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
#include "fast_scalar.h"

/* A bit for each of 64 bytes. */
FAST uint64_t bits_of(__m256i low, __m256i high)
{
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
}

FAST uint64_t equal(__m256i low, __m256i high, char byte)
{
    return bits_of(_mm256_cmpeq_epi8(low, _mm256_set1_epi8(byte)), _mm256_cmpeq_epi8(high, _mm256_set1_epi8(byte)));
}

FAST __m256i is_odd(__m256i bytes)
{
    return _mm256_or_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), bytes), /* signed: bytes over 0x7F as well */
                           _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\\')));
}

FAST __m256i is_digit(__m256i bytes)
{
    const __m256i above = _mm256_sub_epi8(bytes, _mm256_set1_epi8('0'));
    return _mm256_cmpeq_epi8(_mm256_min_epu8(above, _mm256_set1_epi8(9)), above);
}

FAST __m256i is_name(__m256i bytes, __m256i before)
{
    return _mm256_and_si256(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(':')), _mm256_cmpeq_epi8(before, _mm256_set1_epi8('"')));
}

FAST void look_at(const uint8_t *bytes, uint32_t word, struct looks *looks)
{
    const __m256i low = load_256(bytes), high = load_256(bytes + sizeof low);
    looks->quote[word] = equal(low, high, '"');
    looks->comma[word] = equal(low, high, ',');
    looks->digit[word] = bits_of(is_digit(low), is_digit(high));
    looks->zero[word] = equal(low, high, '0');
    looks->point[word] = equal(low, high, '.');
    looks->open[word] = equal(low, high, '[');
    looks->close[word] = equal(low, high, ']');
    looks->name[word] = bits_of(is_name(low, load_256(bytes - 1)), is_name(high, load_256(bytes + sizeof low - 1)));
    looks->odd[word] = bits_of(is_odd(low), is_odd(high));
}

FAST struct bits next_bits(struct bits bits)
{
    const __m256i top_bits = _mm256_srli_epi64(bits.words, 63);
    const __m256i carried = _mm256_blend_epi32(_mm256_permute4x64_epi64(top_bits, 0x90), _mm256_setzero_si256(), 0x03);
    return (struct bits){_mm256_or_si256(_mm256_add_epi64(bits.words, bits.words), carried)};
}

/* A bit for each word, of its top bit. */
FAST uint32_t top_bits_of(__m256i words)
{
    return (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(words));
}

FAST struct bits sum_bits(struct bits one, struct bits other)
{
    static const uint64_t ones[16][4] = {{0, 0, 0, 0}, {1, 0, 0, 0}, {0, 1, 0, 0}, {1, 1, 0, 0}, {0, 0, 1, 0}, {1, 0, 1, 0},
                                         {0, 1, 1, 0}, {1, 1, 1, 0}, {0, 0, 0, 1}, {1, 0, 0, 1}, {0, 1, 0, 1}, {1, 1, 0, 1},
                                         {0, 0, 1, 1}, {1, 0, 1, 1}, {0, 1, 1, 1}, {1, 1, 1, 1}};
    const __m256i sum = _mm256_add_epi64(one.words, other.words);
    const __m256i carry = _mm256_or_si256(_mm256_and_si256(one.words, other.words),
                                          _mm256_andnot_si256(sum, _mm256_or_si256(one.words, other.words)));
    const uint32_t carries = top_bits_of(carry), passes = top_bits_of(_mm256_cmpeq_epi64(sum, _mm256_set1_epi64x(-1)));
    const uint32_t add_one = (carries * 2 + passes) ^ passes; /* a carry runs on through words that are full */
    return (struct bits){_mm256_add_epi64(sum, load_256(ones[add_one % 16]))};
}

int fast_has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("popcnt");
}

AVX2 int fast_decode_avx2(struct columns_decoder *decoder, struct columns_block *block, const uint8_t *bytes, size_t length,
                          size_t *consumed_bytes)
{
    return decode_frames(decoder, block, bytes, length, consumed_bytes);
}

#else

int fast_has_avx2(void)
{
    return 0;
}

int fast_decode_avx2(struct columns_decoder *decoder, struct columns_block *block, const uint8_t *bytes, size_t length,
                     size_t *consumed_bytes)
{
    return fast_decode_baseline(decoder, block, bytes, length, consumed_bytes);
}

#endif
