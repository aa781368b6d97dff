/* Decimal numbers from their text to whole ones: the value times ten to the power of `decimals`, exactly or not at all. */
#ifndef DECIMAL_H
#define DECIMAL_H

#include "text.h"
#include "update.h"

/* Reads the number at *at: digits, with or without a minus sign, a fraction, an exponent, and quotes around all of it. Returns 0 and moves *at
 * behind it, or BOOKS_EMALFORMED, BOOKS_ETOO_LARGE or, of what is not too large, BOOKS_EINEXACT. */
int decimal_read(const uint8_t **at, const uint8_t *end, unsigned decimals, int64_t *out);

enum {
    DECIMAL_QUICK_DIGITS = 8, /* of decimal_quick(): on each side of the point, and in the scale */
    DECIMAL_QUICK_BYTES = 2 * DECIMAL_QUICK_DIGITS + 2 /* what it may read */
};

extern const uint32_t decimal_powers[DECIMAL_QUICK_DIGITS + 1];

/* The digits that the text begins with, DECIMAL_QUICK_DIGITS at most: how many, and what they say each, the first in the lowest byte. */
static inline unsigned decimal_digits(const uint8_t *text, uint64_t *digits)
{
    const uint64_t above = load_64(text) ^ UINT64_C(0x3030303030303030);
    const uint64_t others = (above | (above + UINT64_C(0x7676767676767676))) & UINT64_C(0x8080808080808080);
    const unsigned count = others ? (unsigned)__builtin_ctzll(others) / 8 : DECIMAL_QUICK_DIGITS;
    *digits = count ? above & UINT64_MAX >> (64 - 8 * count) : 0;
    return count;
}

static inline uint64_t decimal_join(uint64_t digits)
{
    const uint64_t twos = (digits * 10 + (digits >> 8)) & UINT64_C(0x00FF00FF00FF00FF);
    const uint64_t fours = (twos * 100 + (twos >> 16)) & UINT64_C(0x0000FFFF0000FFFF);
    return (fours * 10000 + (fours >> 32)) & UINT32_MAX;
}

/* The same as decimal_read() for plain digits, of which there are few, without quotes; `at` has DECIMAL_QUICK_BYTES. Returns where it ends, or
 * NULL where decimal_read() has to say what that is. */
static inline const uint8_t *decimal_quick(const uint8_t *at, unsigned decimals, int64_t *out)
{
    uint64_t digits, fraction = 0;
    const unsigned whole = decimal_digits(at, &digits);
    if (whole == 0 || decimals > DECIMAL_QUICK_DIGITS)
        return NULL;
    const uint64_t before_point = decimal_join(digits << (64 - 8 * whole));
    at += whole;
    if (*at == '.') {
        const unsigned places = decimal_digits(++at, &digits);
        if (places == 0)
            return NULL;
        at += places;
        fraction = decimal_join(digits);
    }
    const uint32_t excess = decimal_powers[DECIMAL_QUICK_DIGITS - decimals];
    if ((uint32_t)fraction % excess)
        return NULL;
    *out = (int64_t)(before_point * decimal_powers[decimals] + (uint32_t)fraction / excess);
    return at;
}

#endif
