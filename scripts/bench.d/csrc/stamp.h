/* The time stamp that the feeder puts into a record and the worker reads: 13 digits in the place of the record's "t", as wide as
 * the milliseconds that stand there in the real feed. Its value is BASE + ns mod PERIOD, so the first digit is never 0 and the
 * text stays valid JSON; it wraps after 2.5 hours. */
#ifndef BENCH_STAMP_H
#define BENCH_STAMP_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#define SECOND_NS 1000000000ull
#define STAMP_FIELD ",\"t\":"
#define STAMP_DIGITS 13
#define STAMP_BASE 1000000000000ull
#define STAMP_PERIOD 9000000000000ull

static inline uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* Returns the offset of the 13 digits in a record, or 0 when it has none. */
static inline size_t stamp_find(const char *record, size_t record_bytes)
{
    const char *field = memmem(record, record_bytes, STAMP_FIELD, strlen(STAMP_FIELD));
    size_t at = field ? (size_t)(field - record) + strlen(STAMP_FIELD) : 0;
    return at + STAMP_DIGITS <= record_bytes ? at : 0;
}

static inline void stamp_write(char *digits, uint64_t ns)
{
    uint64_t value = STAMP_BASE + ns % STAMP_PERIOD;
    for (int i = STAMP_DIGITS - 1; i >= 0; i--, value /= 10)
        digits[i] = (char)('0' + value % 10);
}

/* Returns how long ago, in ns, the stamp was written. */
static inline uint64_t stamp_age_ns(const char *digits, uint64_t ns)
{
    uint64_t value = 0;
    for (int i = 0; i < STAMP_DIGITS; i++)
        value = value * 10 + (uint64_t)(digits[i] - '0');
    return (ns % STAMP_PERIOD + STAMP_PERIOD - (value - STAMP_BASE)) % STAMP_PERIOD;
}

#endif
