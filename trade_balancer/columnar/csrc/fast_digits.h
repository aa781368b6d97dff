/* Digits by 16 at once, for what has SSE4.1. Included behind fast.h. */

FAST __m128i load_16(const uint8_t *bytes)
{
    return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

/* The number of 16 digits, the first in the lowest byte. */
FAST uint64_t join_digits(__m128i digits, struct bad_digits *bad)
{
    bad->highest = _mm_max_epu8(bad->highest, digits);
    const __m128i twos = _mm_maddubs_epi16(digits, _mm_set1_epi16(1 << 8 | 10));
    const __m128i fours = _mm_madd_epi16(twos, _mm_set1_epi32(1 << 16 | 100));
    const __m128i eights = _mm_madd_epi16(_mm_packus_epi32(fours, fours), _mm_set1_epi32(1 << 16 | 10000));
    const uint64_t both = (uint64_t)_mm_cvtsi128_si64(eights);
    return (both & UINT32_MAX) * 100000000 + (both >> 32);
}

/* Zero but for the last `length` bytes. */
FAST __m128i keep_last(__m128i bytes, size_t length)
{
    static const uint8_t window[32] = {[16] = 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    return _mm_and_si128(bytes, load_16(window + length));
}

FAST uint64_t read_integer(const uint8_t *end, size_t length, struct bad_digits *bad)
{
    return join_digits(keep_last(_mm_sub_epi8(load_16(end - 16), _mm_set1_epi8('0')), length), bad);
}

FAST uint64_t read_decimal(const uint8_t *end, size_t length, size_t *places, struct bad_digits *bad)
{
    /* for a point at each place, and for none: moves all that is before it one up */
    static const uint8_t closing[17][16] = {
#define UP(n) (n) - 1
#define ROW(p, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o) {p, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o}
        ROW(128, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),  ROW(128, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
        ROW(128, 0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),  ROW(128, 0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
        ROW(128, 0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),  ROW(128, 0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
        ROW(128, 0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15),  ROW(128, 0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15),
        ROW(128, 0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15),  ROW(128, 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15),
        ROW(128, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15),   ROW(128, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15),
        ROW(128, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15),   ROW(128, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15),
        ROW(128, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15),   ROW(128, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14),
        ROW(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    };
    const __m128i bytes = load_16(end - 16);
    const uint32_t points = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('.')));
    const uint32_t point = (uint32_t)__builtin_ctz((points & UINT32_C(0xFFFF) << (16 - length)) | UINT32_C(1) << 16);
    const size_t has_point = point < 16;
    const __m128i digits = _mm_shuffle_epi8(_mm_sub_epi8(bytes, _mm_set1_epi8('0')), load_16(closing[point]));
    *places = has_point ? 15 - point : 0;
    return join_digits(keep_last(digits, length - has_point), bad);
}

FAST int are_digits_bad(const struct bad_digits *bad)
{
    return !_mm_testz_si128(_mm_subs_epu8(bad->highest, _mm_set1_epi8(9)), _mm_set1_epi8(-1));
}

/* The number of one to four digits that end before `end`. */
FAST uint32_t read_item(const uint8_t *end, uint32_t length)
{
    const uint32_t kept = (uint32_t)(UINT64_MAX << (32 - 8 * (length < 4 ? length : 4)));
    const uint32_t digits = load_32(end - 4) & kept & UINT32_C(0x0F0F0F0F);
    const uint32_t twos = digits * 10 + (digits >> 8);
    return (twos & 0xFF) * 100 + (twos >> 16 & 0xFF);
}

/* Always FEW_ITEMS, of whatever is there: how many are meant differs from record to record. */
FAST int32_t read_few_items(const uint8_t *text, size_t length, int32_t *items)
{
    const __m128i above = _mm_sub_epi8(load_16(text), _mm_set1_epi8('0'));
    const uint32_t is_digit = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(above, _mm_set1_epi8(9)), above));
    const uint32_t within = length > 16 ? 0 : UINT32_C(0xFFFF) >> (16 - length);
    const uint32_t ends = ~is_digit & within;
    const uint32_t has_long = is_digit & is_digit >> 1 & is_digit >> 2 & is_digit >> 3 & is_digit >> 4 & within;
    const int32_t count = length == 1 ? 0 : __builtin_popcount(ends);
    if (length > 16 || count > FEW_ITEMS || has_long)
        return -1;
    uint32_t begin = 0, rest = ends;
#pragma GCC unroll 4
    for (int i = 0; i < FEW_ITEMS; i++) {
        const uint32_t end = (uint32_t)__builtin_ctz(rest | UINT32_C(1) << 31) & 15;
        items[i] = (int32_t)read_item(text + end, end - begin);
        begin = end + 1;
        rest &= rest - 1;
    }
    return count;
}
