/* Intervals of equal length, by local time: which one a time is in, and when it begins. */
#ifndef INTERVALS_H
#define INTERVALS_H

#include <stdint.h>

struct interval {
    int64_t number;   /* local time / length, rounded down */
    int64_t start_ms; /* UTC, ms since 1970 */
};

struct intervals {
    int64_t length_ms;
    int64_t *from_ms, *offset_ms; /* local time is UTC plus offset_ms[i] from from_ms[i] on; before the first, it is UTC */
    uint32_t offsets;
    /* the last one asked for, and what is known to be in it: [begin, end) */
    struct interval last;
    int64_t begin_ms, end_ms;
};

/* Copies the offsets. Returns 0, or -1 where there is no memory. */
int intervals_set_zone(struct intervals *intervals, const int64_t *from_ms, const int64_t *offset_ms, uint32_t count);
void intervals_free(struct intervals *intervals);

/* Finds the interval of a time that is not in the last one. */
void intervals_find(struct intervals *intervals, int64_t time_ms);

/* The interval of a time: most likely that of the one before. Valid until the next call. */
static inline const struct interval *interval_of(struct intervals *intervals, int64_t time_ms)
{
    if (time_ms < intervals->begin_ms || time_ms >= intervals->end_ms)
        intervals_find(intervals, time_ms);
    return &intervals->last;
}

#endif
