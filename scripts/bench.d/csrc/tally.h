/* The worker's counts, in a file mapped by the worker and read by the runner while both live. tally.py reads it by the same
 * layout: native unsigned 64-bit fields in this order. Times are CLOCK_MONOTONIC, which all processes of a machine share. */
#ifndef BENCH_TALLY_H
#define BENCH_TALLY_H

#include <stdint.h>

/* Log-linear buckets: values below 64 ns have one each, above that every power of two has 32, so that a bucket is at most 3.2 %
 * wide. Up to 2^40 ns (18 minutes). */
#define TALLY_SUB_BITS 5
#define TALLY_BUCKETS (36 << TALLY_SUB_BITS)

struct tally {
    uint64_t pid;             /* set last at the start: the worker is ready when it is not 0 */
    uint64_t pipe_size_bytes; /* the smallest that was granted */
    uint64_t bytes;           /* read from all pipes, length prefixes included */
    uint64_t reads;
    uint64_t first_ns, last_ns; /* when the first and the latest read returned */
    uint64_t records; /* in the modes latency and frames: the others do not look at the bytes */
    uint64_t latency_max_ns;
    uint64_t latency_buckets[TALLY_BUCKETS];
};

#endif
