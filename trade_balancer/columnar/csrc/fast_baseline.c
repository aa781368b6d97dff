/* fast.h with what every CPU has: SSE2 on x86-64, else one byte at a time. */
#include "fast_run.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define FAST static inline __attribute__((always_inline))

struct bits {
    uint64_t word[RECORD_WORDS];
};

struct bad_digits {
    uint64_t faults;
};
#define NO_BAD_DIGITS ((struct bad_digits){0})

#include "fast.h"
#include "fast_scalar.h"

/* struct looks of a piece of a word. */
struct piece {
    uint64_t quote, comma, digit, zero, point, open, close, colon, odd;
};

#ifdef __SSE2__
enum { PIECE_BYTES = 16 };

FAST uint64_t bits_of(__m128i bytes)
{
    return (uint64_t)(unsigned)_mm_movemask_epi8(bytes);
}

FAST uint64_t equal(__m128i bytes, char byte)
{
    return bits_of(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte)));
}

FAST struct piece look_at_piece(const uint8_t *bytes)
{
    const __m128i here = _mm_loadu_si128((const __m128i *)(const void *)bytes);
    const __m128i above = _mm_sub_epi8(here, _mm_set1_epi8('0'));
    return (struct piece){
        .quote = equal(here, '"'),
        .comma = equal(here, ','),
        .digit = bits_of(_mm_cmpeq_epi8(_mm_min_epu8(above, _mm_set1_epi8(9)), above)),
        .zero = equal(here, '0'),
        .point = equal(here, '.'),
        .open = equal(here, '['),
        .close = equal(here, ']'),
        .colon = equal(here, ':'),
        .odd = bits_of(_mm_cmplt_epi8(here, _mm_set1_epi8(0x20))) | equal(here, '\\'), /* signed: bytes over 0x7F as well */
    };
}
#else
enum { PIECE_BYTES = 1 };

FAST struct piece look_at_piece(const uint8_t *bytes)
{
    const uint8_t byte = *bytes;
    return (struct piece){
        .quote = byte == '"',
        .comma = byte == ',',
        .digit = (uint8_t)(byte - '0') < 10,
        .zero = byte == '0',
        .point = byte == '.',
        .open = byte == '[',
        .close = byte == ']',
        .colon = byte == ':',
        .odd = byte < 0x20 || byte >= 0x80 || byte == '\\',
    };
}
#endif

FAST void look_at(const uint8_t *bytes, uint32_t word, struct looks *looks)
{
    struct piece all = {0};
    for (size_t at = 0; at < WORD_BYTES; at += PIECE_BYTES) {
        const struct piece piece = look_at_piece(bytes + at);
        all.quote |= piece.quote << at;
        all.comma |= piece.comma << at;
        all.digit |= piece.digit << at;
        all.zero |= piece.zero << at;
        all.point |= piece.point << at;
        all.open |= piece.open << at;
        all.close |= piece.close << at;
        all.colon |= piece.colon << at;
        all.odd |= piece.odd << at;
    }
    looks->quote[word] = all.quote;
    looks->comma[word] = all.comma;
    looks->digit[word] = all.digit;
    looks->zero[word] = all.zero;
    looks->point[word] = all.point;
    looks->open[word] = all.open;
    looks->close[word] = all.close;
    looks->name[word] = all.colon & (all.quote << 1 | (bytes[-1] == '"'));
    looks->odd[word] = all.odd;
}

FAST struct bits load_bits(const uint64_t *words)
{
    struct bits bits;
    memcpy(bits.word, words, sizeof bits.word);
    return bits;
}

FAST struct bits first_bits(size_t count)
{
    struct bits bits = {{0}};
    for (size_t i = 0; i < RECORD_WORDS && count > i * 64; i++)
        bits.word[i] = count - i * 64 >= 64 ? UINT64_MAX : (UINT64_C(1) << (count - i * 64)) - 1;
    return bits;
}

FAST struct bits and_bits(struct bits one, struct bits other)
{
    for (int i = 0; i < RECORD_WORDS; i++)
        one.word[i] &= other.word[i];
    return one;
}

FAST struct bits and_not_bits(struct bits one, struct bits other)
{
    for (int i = 0; i < RECORD_WORDS; i++)
        one.word[i] &= ~other.word[i];
    return one;
}

FAST struct bits or_bits(struct bits one, struct bits other)
{
    for (int i = 0; i < RECORD_WORDS; i++)
        one.word[i] |= other.word[i];
    return one;
}

FAST struct bits xor_bits(struct bits one, struct bits other)
{
    for (int i = 0; i < RECORD_WORDS; i++)
        one.word[i] ^= other.word[i];
    return one;
}

FAST struct bits next_bits(struct bits bits)
{
    for (int i = RECORD_WORDS - 1; i > 0; i--)
        bits.word[i] = bits.word[i] << 1 | bits.word[i - 1] >> 63;
    bits.word[0] <<= 1;
    return bits;
}

FAST struct bits sum_bits(struct bits one, struct bits other)
{
    uint64_t carry = 0;
    for (int i = 0; i < RECORD_WORDS; i++) {
        const uint64_t overflow = __builtin_add_overflow(one.word[i], carry, &one.word[i]);
        carry = __builtin_add_overflow(one.word[i], other.word[i], &one.word[i]) | overflow;
    }
    return one;
}

FAST int has_bits(struct bits bits)
{
    return (bits.word[0] | bits.word[1] | bits.word[2] | bits.word[3]) != 0;
}

/* The number that 1 to 8 digits make. */
FAST uint64_t read_short(const uint8_t *end, size_t length, struct bad_digits *bad)
{
    const uint64_t zeros = UINT64_C(0x3030303030303030), tops = UINT64_C(0x8080808080808080), above_9 = UINT64_C(0x7676767676767676);
    uint64_t digits = (load_64(end - 8) ^ zeros) & (UINT64_MAX << (64 - 8 * length)); /* the first in the lowest byte that is kept */
    bad->faults |= ((digits + above_9) | digits) & tops;
    digits = digits * 10 + (digits >> 8);
    digits = ((digits & UINT64_C(0x00FF00FF00FF00FF)) * (UINT64_C(1) + (UINT64_C(100) << 16))) >> 16;
    return ((digits & UINT64_C(0x0000FFFF0000FFFF)) * (UINT64_C(1) + (UINT64_C(10000) << 32))) >> 32;
}

FAST uint64_t read_integer(const uint8_t *end, size_t length, struct bad_digits *bad)
{
    if (length <= 8)
        return read_short(end, length, bad);
    return read_short(end - 8, length - 8, bad) * 100000000 + read_short(end, 8, bad);
}

FAST uint64_t read_decimal(const uint8_t *end, size_t length, size_t *places, struct bad_digits *bad)
{
    const uint8_t *point = memchr(end - length, '.', length);
    *places = 0;
    if (!point)
        return read_integer(end, length, bad);
    const size_t whole = (size_t)(point - (end - length));
    *places = (size_t)(end - point) - 1;
    if (whole == 0 || *places == 0) {
        bad->faults = 1;
        return 0;
    }
    return read_integer(point, whole, bad) * number_powers_64[*places] + read_integer(end, *places, bad);
}

FAST int32_t read_few_items(const uint8_t *text, size_t length, int32_t *items)
{
    (void)text, (void)length, (void)items;
    return -1;
}

FAST int are_digits_bad(const struct bad_digits *bad)
{
    return bad->faults != 0;
}

int fast_decode_baseline(struct columns_decoder *decoder, struct columns_block *block, const uint8_t *bytes, size_t length,
                         size_t *consumed_bytes)
{
    return decode_frames(decoder, block, bytes, length, consumed_bytes);
}
