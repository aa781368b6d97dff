/* Law: reads the caller's bytes, makes no system call, allocates nothing, keeps nothing.
 *
 * Numbers of JSON (RFC 8259, section 6) from their text to a mantissa and an exponent, and to the double nearest to them. */
#ifndef NUMBER_H
#define NUMBER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* value = mantissa * 10^exponent, but for what `truncated` says. */
struct number {
    uint64_t mantissa;
    int64_t exponent;
    uint8_t negative;
    uint8_t truncated;   /* more digits than a mantissa holds: those behind the 19th that counts were left out, and not all of them are 0 */
    uint8_t is_integer;  /* written without fraction and exponent */
};

/* Returns how many bytes at `bytes` are a number in JSON's grammar, and what it is; 0 where there is none. */
size_t number_read(const uint8_t *bytes, size_t length, struct number *number);

/* Returns 1 with the nearest double (ties to even), or 0 where that is infinite. `bytes` is the text that `number` was read from. */
int number_to_double(const uint8_t *bytes, size_t length, const struct number *number, double *value);

/* Returns 1 with the value where it is a whole number of 64 bits with sign, however it is written, or 0. */
int number_to_int64(const struct number *number, int64_t *value);

enum {
    /* A double holds every integer up to 2^53 and every power of ten up to 10^22; the quotient or product of two such is rounded once,
     * and so the nearest (Clinger, How to read floating point numbers accurately, 1990). */
    NUMBER_EXACT_POWERS = 23,
    NUMBER_EXACT_BITS = 53
};

extern const double number_powers[NUMBER_EXACT_POWERS];
extern const uint64_t number_powers_64[20];

#endif
