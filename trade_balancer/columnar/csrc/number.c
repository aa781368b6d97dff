#include "number.h"

/* An unsigned integer of any size that a number's text can ask for: limb[0] is the lowest. */
enum {
    DIGITS_MAX = 800,   /* no more decide how a double is rounded: 767 are the most of any midpoint between two */
    LEAST_POWER = -343, /* below it, 10^19 * 10^power rounds to zero */
    LIMBS_MAX = 160     /* 5120 bits: 10^(DIGITS_MAX - LEAST_POWER) has 3797, and the shifts add fewer than 64 */
};

struct big {
    uint32_t count;
    uint32_t limb[LIMBS_MAX];
};

const double number_powers[NUMBER_EXACT_POWERS] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                                   1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

#define E(power) UINT64_C(1##power)
const uint64_t number_powers_64[20] = {
    1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, E(0000000000), E(00000000000), E(000000000000),
    E(0000000000000), E(00000000000000), E(000000000000000), E(0000000000000000), E(00000000000000000), E(000000000000000000),
    E(0000000000000000000)};
#undef E

static int is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static size_t count_digits(const uint8_t *bytes, size_t at, size_t length)
{
    const size_t begin = at;
    while (at < length && is_digit(bytes[at]))
        at++;
    return at - begin;
}

/* Takes the digits of the whole part or of the fraction; `is_fraction` ones lower the exponent. */
static void take_digits(struct number *number, const uint8_t *digits, size_t count, int is_fraction)
{
    static const uint64_t full = UINT64_C(1000000000000000000); /* a mantissa from here on has 19 digits */
    for (size_t i = 0; i < count; i++) {
        const unsigned digit = digits[i] - '0';
        if (number->mantissa < full) {
            number->mantissa = number->mantissa * 10 + digit;
            number->exponent -= is_fraction;
        } else {
            number->truncated |= digit != 0;
            number->exponent += !is_fraction;
        }
    }
}

static int64_t read_exponent(const uint8_t *digits, size_t count)
{
    int64_t exponent = 0;
    for (size_t i = 0; i < count; i++)
        if (exponent < INT64_C(1) << 40) /* far beyond what any number of digits makes up for */
            exponent = exponent * 10 + (digits[i] - '0');
    return exponent;
}

size_t number_read(const uint8_t *bytes, size_t length, struct number *number)
{
    size_t at = length && bytes[0] == '-';
    *number = (struct number){.negative = (uint8_t)at, .is_integer = 1};
    size_t digits = count_digits(bytes, at, length);
    if (digits == 0 || (digits > 1 && bytes[at] == '0'))
        return 0;
    take_digits(number, bytes + at, digits, 0);
    at += digits;
    if (at < length && bytes[at] == '.') {
        digits = count_digits(bytes, ++at, length);
        if (digits == 0)
            return 0;
        take_digits(number, bytes + at, digits, 1);
        at += digits;
        number->is_integer = 0;
    }
    if (at < length && (bytes[at] | 0x20) == 'e') {
        at++;
        const int has_sign = at < length && (bytes[at] == '-' || bytes[at] == '+');
        const int is_negative = has_sign && bytes[at] == '-';
        at += (size_t)has_sign;
        digits = count_digits(bytes, at, length);
        if (digits == 0)
            return 0;
        const int64_t exponent = read_exponent(bytes + at, digits);
        number->exponent += is_negative ? -exponent : exponent;
        at += digits;
        number->is_integer = 0;
    }
    return at;
}

int number_to_int64(const struct number *number, int64_t *value)
{
    uint64_t magnitude = number->mantissa;
    if (number->truncated)
        return 0;
    int64_t exponent = number->exponent;
    if (magnitude == 0)
        exponent = 0;
    for (; exponent < 0 && magnitude % 10 == 0; exponent++)
        magnitude /= 10;
    if (exponent < 0 || exponent > 19 || (exponent && magnitude > UINT64_MAX / number_powers_64[exponent]))
        return 0;
    magnitude *= number_powers_64[exponent];
    if (magnitude > (uint64_t)INT64_MAX + number->negative)
        return 0;
    *value = (int64_t)(number->negative ? 0 - magnitude : magnitude);
    return 1;
}

/* big = big * factor + addend */
static void big_multiply(struct big *big, uint32_t factor, uint32_t addend)
{
    uint64_t carry = addend;
    for (uint32_t i = 0; i < big->count; i++) {
        carry += (uint64_t)big->limb[i] * factor;
        big->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry)
        big->limb[big->count++] = (uint32_t)carry;
}

static void big_multiply_power(struct big *big, int64_t power)
{
    for (; power >= 9; power -= 9)
        big_multiply(big, 1000000000, 0);
    big_multiply(big, (uint32_t)number_powers_64[power], 0);
}

static int64_t big_bits(const struct big *big)
{
    return (int64_t)big->count * 32 - __builtin_clz(big->limb[big->count - 1]);
}

static void big_shift_left(struct big *big, uint32_t bits)
{
    const uint32_t limbs = bits / 32, rest = bits % 32;
    uint32_t above = 0;
    for (uint32_t i = big->count; i-- > 0;) {
        const uint64_t wide = (uint64_t)big->limb[i] << rest;
        big->limb[i + limbs + 1] = above | (uint32_t)(wide >> 32);
        above = (uint32_t)wide;
    }
    big->limb[limbs] = above;
    memset(big->limb, 0, limbs * sizeof *big->limb);
    big->count += limbs + 1;
    while (big->count > 1 && !big->limb[big->count - 1])
        big->count--;
}

static int big_is_below(const struct big *one, const struct big *other)
{
    if (one->count != other->count)
        return one->count < other->count;
    for (uint32_t i = one->count; i-- > 0;)
        if (one->limb[i] != other->limb[i])
            return one->limb[i] < other->limb[i];
    return 0;
}

/* big -= other, which is not above it */
static void big_subtract(struct big *big, const struct big *other)
{
    uint32_t borrow = 0;
    for (uint32_t i = 0; i < big->count; i++) {
        const uint64_t taken = (uint64_t)(i < other->count ? other->limb[i] : 0) + borrow;
        borrow = big->limb[i] < taken;
        big->limb[i] = (uint32_t)(big->limb[i] - taken);
    }
    while (big->count > 1 && !big->limb[big->count - 1])
        big->count--;
}

/* Reads the significant digits again, all that may count, into `big`; returns the exponent of ten that belongs to them. */
static int64_t read_digits(const uint8_t *bytes, size_t length, const struct number *number, struct big *big)
{
    *big = (struct big){.count = 1};
    int64_t exponent = number->exponent;
    uint32_t digits = 0;
    for (uint64_t rest = number->mantissa; rest; rest /= 10)
        digits++;
    big->limb[0] = (uint32_t)number->mantissa;
    if (number->mantissa >> 32)
        big->limb[big->count++] = (uint32_t)(number->mantissa >> 32);
    if (!number->truncated)
        return exponent;
    size_t at = 0;
    for (uint32_t skipped = 0; skipped < digits; at++) /* leading zeros are not in the mantissa */
        skipped += is_digit(bytes[at]) && (skipped || bytes[at] != '0');
    int is_rest = 0;
    for (; at < length && (bytes[at] | 0x20) != 'e'; at++) {
        if (!is_digit(bytes[at]))
            continue;
        if (digits++ < DIGITS_MAX) {
            big_multiply(big, 10, bytes[at] - '0');
            exponent--;
        } else {
            is_rest |= bytes[at] != '0';
        }
    }
    if (is_rest) { /* anything above zero: a midpoint it is not, and which side of one it is on is decided by the digits before */
        big_multiply(big, 10, 1);
        exponent--;
    }
    return exponent;
}

/* The double of 64 bits `top` (the highest set) * 2^exponent, `is_rest` where something below them was left out. */
static int round_to_double(uint64_t top, int64_t exponent, int is_rest, double *value)
{
    const int64_t least = -1074; /* of the lowest bit of a double, denormals included */
    int64_t dropped = 64 - NUMBER_EXACT_BITS;
    if (exponent + dropped < least)
        dropped = least - exponent;
    uint64_t kept = 0, half = 0;
    if (dropped < 64) {
        kept = top >> dropped;
        half = top >> (dropped - 1) & 1;
        is_rest |= (top & ((UINT64_C(1) << (dropped - 1)) - 1)) != 0;
    } else if (dropped == 64) {
        half = 1;
        is_rest |= top != UINT64_C(1) << 63;
    }
    kept += half && (is_rest || (kept & 1));
    exponent += dropped;
    /* a denormal has exponent field 0 and no hidden bit; one that was rounded up to 2^52 carries into the field, as it should */
    uint64_t bits = kept;
    if (kept >> (NUMBER_EXACT_BITS - 1)) {
        bits = kept - (UINT64_C(1) << (NUMBER_EXACT_BITS - 1)) + ((uint64_t)(exponent - least + 1) << (NUMBER_EXACT_BITS - 1));
        if (exponent - least + 1 >= 0x7FF || bits >> (NUMBER_EXACT_BITS - 1) >= 0x7FF)
            return 0;
    }
    memcpy(value, &bits, sizeof bits);
    return 1;
}

/* By long division, bit by bit: slow, short, and right for any number. */
static int divide_to_double(struct big *numerator, struct big *denominator, double *value)
{
    int64_t exponent = big_bits(numerator) - big_bits(denominator);
    if (exponent > 0)
        big_shift_left(denominator, (uint32_t)exponent);
    else
        big_shift_left(numerator, (uint32_t)-exponent);
    if (big_is_below(numerator, denominator)) {
        big_shift_left(numerator, 1);
        exponent--;
    }
    uint64_t quotient = 0; /* now 1 <= numerator / denominator < 2: its first bit is set */
    for (int bit = 0; bit < 64; bit++) {
        const int is_one = !big_is_below(numerator, denominator);
        quotient = quotient << 1 | (uint64_t)is_one;
        if (is_one)
            big_subtract(numerator, denominator);
        big_shift_left(numerator, 1);
    }
    return round_to_double(quotient, exponent - 63, numerator->count > 1 || numerator->limb[0], value);
}

int number_to_double(const uint8_t *bytes, size_t length, const struct number *number, double *value)
{
    const int64_t exponent = number->exponent;
    *value = 0;
    if (number->mantissa == 0 || exponent < LEAST_POWER) {
        /* zero, or nearer to it than to the least double, 5e-324: a mantissa is below 10^19 */
    } else if (!number->truncated && number->mantissa >> NUMBER_EXACT_BITS == 0 && exponent > -NUMBER_EXACT_POWERS &&
               exponent < NUMBER_EXACT_POWERS) {
        const double mantissa = (double)number->mantissa;
        *value = exponent < 0 ? mantissa / number_powers[-exponent] : mantissa * number_powers[exponent];
    } else if (exponent > 309) {
        return 0;
    } else {
        struct big numerator, denominator = {.count = 1, .limb = {1}};
        const int64_t power = read_digits(bytes, length, number, &numerator);
        if (power >= 0)
            big_multiply_power(&numerator, power);
        else
            big_multiply_power(&denominator, -power);
        if (!divide_to_double(&numerator, &denominator, value))
            return 0;
    }
    if (number->negative)
        *value = -*value;
    return 1;
}
