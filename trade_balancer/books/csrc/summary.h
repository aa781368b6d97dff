/* The face of summaries: a merged book at one moment, in one piece of memory, and the messages it is sent as.
 *
 * The bytes of a summary: struct summary, its venues, its bids, its asks. */
#ifndef SUMMARY_H
#define SUMMARY_H

#include <stddef.h>
#include <stdint.h>

/* cffi: begin */
enum summary_crossing { CROSSING_NONE, CROSSING_LOCKED, CROSSING_CROSSED };

struct summary {
    uint64_t sequence;
    int64_t received_ns;   /* of the newest message in it */
    uint32_t venues, bids, asks;
    uint8_t price_decimals, size_decimals;
    uint8_t crossing;      /* enum summary_crossing */
    uint8_t has_spread;    /* both sides have levels */
    int64_t spread;
    char symbol[64];       /* zero-terminated */
};

struct summary_venue {
    int64_t time_ns, received_ns;
    uint32_t state;        /* enum books_state */
    char name[28];         /* zero-terminated */
};

struct summary_level {
    int64_t price, size;
    uint64_t venue;        /* which of the summary's */
};

const struct summary_venue *summary_venues(const struct summary *summary);
const struct summary_level *summary_bids(const struct summary *summary);
const struct summary_level *summary_asks(const struct summary *summary);

/* Either encoding has at most so many times as many bytes as the summary. */
enum { SUMMARY_ENCODED_TIMES = 3 };

/* tradebalancer.books.v1.Summary, and the orderbook.Summary of the programs before this one; the best `depth` levels of each side.
 * `summary` is a struct summary with what is behind it. Return how many bytes. */
size_t summary_v1(const void *summary, uint32_t depth, uint8_t *to);
size_t summary_orderbook(const void *summary, uint32_t depth, uint8_t *to);
/* cffi: end */

#endif
