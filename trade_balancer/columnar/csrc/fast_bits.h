/* Bits in a vector of 256. Included behind fast.h. */

FAST __m256i load_256(const void *bytes)
{
    return _mm256_loadu_si256(bytes);
}

FAST struct bits load_bits(const uint64_t *words)
{
    return (struct bits){load_256(words)};
}

FAST struct bits first_bits(size_t count)
{
    const __m256i firsts = _mm256_set_epi64x(192, 128, 64, 0);
    const __m256i in_word = _mm256_subs_epu16(_mm256_set1_epi64x((long long)count), firsts); /* 0 where it would be less */
    const __m256i full = _mm256_set1_epi64x(-1);
    return (struct bits){_mm256_andnot_si256(_mm256_sllv_epi64(full, in_word), full)};
}

FAST struct bits and_bits(struct bits one, struct bits other)
{
    return (struct bits){_mm256_and_si256(one.words, other.words)};
}

FAST struct bits and_not_bits(struct bits one, struct bits other)
{
    return (struct bits){_mm256_andnot_si256(other.words, one.words)};
}

FAST struct bits or_bits(struct bits one, struct bits other)
{
    return (struct bits){_mm256_or_si256(one.words, other.words)};
}

FAST struct bits xor_bits(struct bits one, struct bits other)
{
    return (struct bits){_mm256_xor_si256(one.words, other.words)};
}

FAST int has_bits(struct bits bits)
{
    return !_mm256_testz_si256(bits.words, bits.words);
}
