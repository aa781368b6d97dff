#include "intervals.h"

#include <stdlib.h>
#include <string.h>

static int64_t *copy_of(const int64_t *numbers, uint32_t count)
{
    int64_t *copy = malloc((count ? count : 1) * sizeof *copy);
    if (copy && count)
        memcpy(copy, numbers, count * sizeof *copy);
    return copy;
}

int intervals_set_zone(struct intervals *intervals, const int64_t *from_ms, const int64_t *offset_ms, uint32_t count)
{
    int64_t *from = copy_of(from_ms, count), *offset = copy_of(offset_ms, count);
    if (!from || !offset) {
        free(from);
        free(offset);
        return -1;
    }
    intervals_free(intervals);
    intervals->from_ms = from;
    intervals->offset_ms = offset;
    intervals->offsets = count;
    intervals->begin_ms = intervals->end_ms = 0;
    return 0;
}

void intervals_free(struct intervals *intervals)
{
    free(intervals->from_ms);
    free(intervals->offset_ms);
}

static int64_t divide_down(int64_t number, int64_t divisor)
{
    const int64_t quotient = number / divisor;
    return quotient - (number % divisor < 0);
}

/* A part of time in which the offset is the same. */
struct part {
    int64_t offset_ms, begin_ms, end_ms;
};

static struct part part_at(const struct intervals *intervals, uint32_t number)
{
    return (struct part){
        .offset_ms = number ? intervals->offset_ms[number - 1] : 0,
        .begin_ms = number ? intervals->from_ms[number - 1] : INT64_MIN,
        .end_ms = number < intervals->offsets ? intervals->from_ms[number] : INT64_MAX,
    };
}

/* When it is that local time for the first time; where clocks were put forward over it, when they were. */
static int64_t utc_of(const struct intervals *intervals, int64_t local_ms)
{
    uint32_t number = 0;
    while (local_ms - part_at(intervals, number).offset_ms >= part_at(intervals, number).end_ms)
        number++;
    const struct part part = part_at(intervals, number);
    return local_ms - part.offset_ms < part.begin_ms ? part.begin_ms : local_ms - part.offset_ms;
}

void intervals_find(struct intervals *intervals, int64_t time_ms)
{
    const int64_t length_ms = intervals->length_ms;
    uint32_t number = 0;
    while (time_ms >= part_at(intervals, number).end_ms && number < intervals->offsets)
        number++;
    const struct part part = part_at(intervals, number);
    const int64_t begin_ms = time_ms - (time_ms + part.offset_ms - divide_down(time_ms + part.offset_ms, length_ms) * length_ms);
    intervals->last.number = divide_down(time_ms + part.offset_ms, length_ms);
    intervals->last.start_ms = intervals->offsets ? utc_of(intervals, intervals->last.number * length_ms) : begin_ms;
    intervals->begin_ms = begin_ms > part.begin_ms ? begin_ms : part.begin_ms;
    intervals->end_ms = begin_ms + length_ms < part.end_ms ? begin_ms + length_ms : part.end_ms;
}
