#include "summary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Protocol Buffers' wire format (protobuf.dev, "Encoding"): a tag is the field's number and one of these. */
enum { VARINT = 0, FIXED64 = 1, BYTES = 2 };
enum { DECIMALS_EXACT = 22 };

/* At most: tags, lengths, numbers of 10 bytes or 8, and names. */
enum { HEAD_BYTES = 2 + 63 + 4 * 11 + 2 * 3 + 2, VENUE_BYTES = 2 + 2 + 27 + 2 + 2 * 11, LEVEL_BYTES = 2 + 2 + 27 + 2 * 11 };
_Static_assert(HEAD_BYTES <= SUMMARY_ENCODED_TIMES * sizeof(struct summary), "the head fits");
_Static_assert(VENUE_BYTES <= SUMMARY_ENCODED_TIMES * sizeof(struct summary_venue), "a venue fits");
_Static_assert(LEVEL_BYTES <= SUMMARY_ENCODED_TIMES * sizeof(struct summary_level), "a level fits");
_Static_assert(VENUE_BYTES < 128 && LEVEL_BYTES < 128, "their lengths are one byte");

const struct summary_venue *summary_venues(const struct summary *summary)
{
    return (const struct summary_venue *)(summary + 1);
}

const struct summary_level *summary_bids(const struct summary *summary)
{
    return (const struct summary_level *)(summary_venues(summary) + summary->venues);
}

const struct summary_level *summary_asks(const struct summary *summary)
{
    return summary_bids(summary) + summary->bids;
}

static uint8_t *put_varint(uint8_t *to, uint64_t value)
{
    for (; value > 127; value >>= 7)
        *to++ = (uint8_t)(value | 128);
    *to++ = (uint8_t)value;
    return to;
}

static uint8_t *put_number(uint8_t *to, unsigned field, uint64_t value)
{
    *to++ = (uint8_t)(field << 3 | VARINT);
    return put_varint(to, value);
}

/* proto3 leaves out what is 0. */
static uint8_t *put_some(uint8_t *to, unsigned field, uint64_t value)
{
    return value ? put_number(to, field, value) : to;
}

static uint64_t zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
}

static uint8_t *put_text(uint8_t *to, unsigned field, const char *text)
{
    const size_t length = strlen(text);
    if (length == 0)
        return to;
    *to++ = (uint8_t)(field << 3 | BYTES);
    *to++ = (uint8_t)length;
    memcpy(to, text, length);
    return to + length;
}

/* A message in the message: what is put between the two, whose length is one byte. */
static uint8_t *begin_message(uint8_t *to, unsigned field)
{
    *to = (uint8_t)(field << 3 | BYTES);
    return to + 2;
}

static void end_message(uint8_t *begun, const uint8_t *end)
{
    begun[-1] = (uint8_t)(end - begun);
}

static uint8_t *put_levels(uint8_t *to, unsigned field, const struct summary_level *level, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *begun = begin_message(to, field);
        to = put_some(begun, 1, level[i].venue);
        to = put_some(to, 2, zigzag(level[i].price));
        to = put_some(to, 3, zigzag(level[i].size));
        end_message(begun, to);
    }
    return to;
}

static uint8_t *put_venue(uint8_t *to, unsigned field, const struct summary_venue *venue)
{
    uint8_t *begun = begin_message(to, field);
    to = put_text(begun, 1, venue->name);
    to = put_some(to, 2, venue->state);
    to = put_some(to, 3, (uint64_t)venue->time_ns);
    to = put_some(to, 4, (uint64_t)venue->received_ns);
    end_message(begun, to);
    return to;
}

static uint32_t at_most(uint32_t count, uint32_t depth)
{
    return count < depth ? count : depth;
}

size_t summary_v1(const void *memory, uint32_t depth, uint8_t *to)
{
    const struct summary *summary = memory;
    uint8_t *end = put_text(to, 1, summary->symbol);
    end = put_some(end, 2, summary->sequence);
    end = put_some(end, 3, (uint64_t)summary->received_ns);
    end = put_some(end, 4, summary->price_decimals);
    end = put_some(end, 5, summary->size_decimals);
    end = put_levels(end, 6, summary_bids(summary), at_most(summary->bids, depth));
    end = put_levels(end, 7, summary_asks(summary), at_most(summary->asks, depth));
    if (summary->has_spread)
        end = put_number(end, 8, zigzag(summary->spread));
    end = put_some(end, 9, summary->crossing);
    for (uint32_t i = 0; i < summary->venues; i++)
        end = put_venue(end, 10, &summary_venues(summary)[i]);
    return (size_t)(end - to);
}

/* The double nearest to value / 10^decimals. Where both are exact doubles, the quotient is; elsewhere the C library reads it as a text
 * (which has no point, so that no locale changes it). */
static double nearest(int64_t value, uint8_t decimals)
{
    static const double powers[DECIMALS_EXACT + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                                      1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const int64_t exact = INT64_C(1) << 53;
    char text[40];
    if (value >= -exact && value <= exact && decimals <= DECIMALS_EXACT)
        return (double)value / powers[decimals];
    snprintf(text, sizeof text, "%llde-%u", (long long)value, (unsigned)decimals);
    return strtod(text, NULL);
}

static uint8_t *put_double(uint8_t *to, unsigned field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (bits == 0)
        return to;
    *to++ = (uint8_t)(field << 3 | FIXED64);
    for (int i = 0; i < 8; i++, bits >>= 8)
        *to++ = (uint8_t)bits;
    return to;
}

static uint8_t *put_doubles(uint8_t *to, unsigned field, const struct summary *summary, const struct summary_level *level, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *begun = begin_message(to, field);
        to = put_text(begun, 1, summary_venues(summary)[level[i].venue].name);
        to = put_double(to, 2, nearest(level[i].price, summary->price_decimals));
        to = put_double(to, 3, nearest(level[i].size, summary->size_decimals));
        end_message(begun, to);
    }
    return to;
}

size_t summary_orderbook(const void *memory, uint32_t depth, uint8_t *to)
{
    const struct summary *summary = memory;
    uint8_t *end = to;
    if (summary->has_spread)
        end = put_double(end, 1, nearest(summary->spread, summary->price_decimals));
    end = put_doubles(end, 2, summary, summary_bids(summary), at_most(summary->bids, depth));
    end = put_doubles(end, 3, summary, summary_asks(summary), at_most(summary->asks, depth));
    return (size_t)(end - to);
}
