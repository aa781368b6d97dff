/* One bar, and how a trade gets into it. */
#ifndef BAR_H
#define BAR_H

#include "bars.h"
#include "intervals.h"

#include <math.h>

/* Volumes are whole numbers of 10^-19: sums of them are exact, and the largest is over 10^19, so that what is before its point has 64 bits. */
enum { BAR_VOLUME_PLACES = 19 };
#define BAR_VOLUME_UNITS UINT64_C(10000000000000000000) /* of 1 */

__extension__ typedef __int128 bar_volume;

static inline double bar_volume_as_double(bar_volume volume)
{
    return (double)volume / (double)BAR_VOLUME_UNITS;
}

/* Prices are NaN where no trade could set them. */
struct bar {
    bar_volume volume;   /* sizes of the trades that count for it */
    double turnover;     /* price * size of the same */
    double open, high, low, close;
    int64_t open_ms;     /* the times of the trades that open and close are of */
    int64_t close_ms;
    struct interval interval;
    uint32_t symbol;
    uint32_t trades;     /* how many those are that count for the volume */
    uint32_t revision;   /* how often it was given out before */
    uint32_t is_dirty;   /* it is about to be given out */
};

/* A trade, as a bar takes it. */
struct trade {
    bar_volume volume;
    double size;         /* the same as a double */
    double price;
    int64_t time_ms;
    uint32_t updates;    /* enum bars_update */
};

static inline void begin_bar(struct bar *bar, uint32_t symbol, const struct interval *interval)
{
    *bar = (struct bar){.interval = *interval, .symbol = symbol, .open = NAN, .high = NAN, .low = NAN, .close = NAN};
}

/* Puts a trade into a bar, behind all that are in it. Returns 0, or -1 where the volume is more than a bar can hold; then nothing was done. */
static inline int put_trade(struct bar *bar, const struct trade *trade)
{
    const double price = trade->price;
    if (trade->updates & BARS_VOLUME) {
        bar_volume volume;
        if (__builtin_add_overflow(bar->volume, trade->volume, &volume))
            return -1;
        bar->volume = volume;
        bar->turnover += price * trade->size;
        bar->trades++;
    }
    if (trade->updates & BARS_OPEN_CLOSE) {
        if (isnan(bar->open)) {
            bar->open = price;
            bar->open_ms = trade->time_ms;
        }
        bar->close = price;
        bar->close_ms = trade->time_ms;
    }
    if (trade->updates & BARS_HIGH_LOW) {
        bar->high = price <= bar->high ? bar->high : price; /* also where it is NaN */
        bar->low = price >= bar->low ? bar->low : price;
    }
    return 0;
}

#endif
