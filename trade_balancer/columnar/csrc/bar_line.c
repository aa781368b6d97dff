#include "bar_line.h"

#include "number.h"

#include <stdio.h>

/* Integers up to it are doubles, all of them. */
#define DOUBLE_INTEGERS 9007199254740992.0

static char *put_text(char *to, const char *text)
{
    const size_t length = strlen(text);
    memcpy(to, text, length);
    return to + length;
}

static char *put_unsigned(char *to, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    memcpy(to, digits + at, sizeof digits - at);
    return to + (sizeof digits - at);
}

static char *put_signed(char *to, int64_t number)
{
    if (number < 0)
        *to++ = '-';
    return put_unsigned(to, number < 0 ? -(uint64_t)number : (uint64_t)number);
}

/* A number behind the point, so many places of it; at least one is written. */
static char *put_fraction(char *to, uint64_t fraction, size_t places)
{
    for (; places > 1 && fraction % 10 == 0; places--)
        fraction /= 10;
    *to++ = '.';
    for (size_t at = places; at-- > 0; fraction /= 10)
        to[at] = (char)('0' + fraction % 10);
    return to + places;
}

/* mantissa / 10^places, without zeros at its end but for one behind the point. */
static char *put_decimal(char *to, uint64_t mantissa, size_t places)
{
    to = put_unsigned(to, mantissa / number_powers_64[places]);
    return put_fraction(to, mantissa % number_powers_64[places], places ? places : 1);
}

/* The integer nearest to a number from 0 to 2^53. */
static uint64_t nearest(double value)
{
    return (uint64_t)(value + 0.5);
}

/* 17 digits and an exponent: what reads as any double. */
static char *put_exponential(char *to, double value)
{
    char text[40];
    const int length = snprintf(text, sizeof text, "%.16e", value);
    *to++ = text[0];
    *to++ = '.'; /* whatever the locale has there, up to the next digit */
    int at = 1;
    while (at < length && (text[at] < '0' || text[at] > '9'))
        at++;
    memcpy(to, text + at, (size_t)(length - at));
    return to + (length - at);
}

/* The shortest decimal that reads as the number, if one of up to 15 digits does; else one of 17. NaN and infinity, which JSON has not, are null. */
static char *put_double(char *to, double value)
{
    static const uint8_t tried_places[] = {2, 4, 6, 9, 12, 15};
    if (!isfinite(value))
        return put_text(to, "null");
    if (signbit(value))
        *to++ = '-';
    value = fabs(value);
    for (size_t i = 0; i < sizeof tried_places; i++) {
        const double power = number_powers[tried_places[i]];
        if (value * power >= 1e15)
            break;
        const uint64_t mantissa = nearest(value * power);
        if ((double)mantissa / power == value) /* rounded once, as a reader does */
            return put_decimal(to, mantissa, tried_places[i]);
    }
    return put_exponential(to, value);
}

/* A number that is itself rounded: 15 digits or more of it. */
static char *put_rounded(char *to, double value)
{
    size_t places = 0;
    if (!(value >= 1e-3 && value < 1e15))
        return put_double(to, value);
    while (value * number_powers[places + 1] < DOUBLE_INTEGERS)
        places++;
    return put_decimal(to, nearest(value * number_powers[places]), places);
}

static char *put_volume(char *to, bar_volume volume)
{
    if (volume < 0)
        *to++ = '-';
    const bar_volume units = volume < 0 ? -volume : volume;
    const uint64_t whole = (uint64_t)(units / BAR_VOLUME_UNITS);
    to = put_unsigned(to, whole);
    return put_fraction(to, (uint64_t)(units - (bar_volume)whole * BAR_VOLUME_UNITS), BAR_VOLUME_PLACES);
}

static char *put_symbol(char *to, const uint8_t *symbol, size_t length)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < length; i++) {
        const uint8_t byte = symbol[i];
        if (byte < 0x20) {
            to = put_text(to, "\\u00");
            *to++ = hex[byte >> 4];
            *to++ = hex[byte & 15];
            continue;
        }
        if (byte == '"' || byte == '\\')
            *to++ = '\\';
        *to++ = (char)byte;
    }
    return to;
}

size_t bar_line(char *to, const struct bar *bar, const uint8_t *symbol, size_t symbol_bytes)
{
    const double volume = bar_volume_as_double(bar->volume);
    char *at = put_text(to, "{\"sym\":\"");
    at = put_symbol(at, symbol, symbol_bytes);
    at = put_signed(put_text(at, "\",\"t\":"), bar->interval.start_ms);
    at = put_double(put_text(at, ",\"o\":"), bar->open);
    at = put_double(put_text(at, ",\"h\":"), bar->high);
    at = put_double(put_text(at, ",\"l\":"), bar->low);
    at = put_double(put_text(at, ",\"c\":"), bar->close);
    at = put_volume(put_text(at, ",\"v\":"), bar->volume);
    at = put_unsigned(put_text(at, ",\"n\":"), bar->trades);
    at = put_rounded(put_text(at, ",\"vw\":"), bar->volume ? bar->turnover / volume : (double)NAN);
    if (bar->revision)
        at = put_unsigned(put_text(at, ",\"rev\":"), bar->revision);
    at = put_text(at, "}\n");
    return (size_t)(at - to);
}
