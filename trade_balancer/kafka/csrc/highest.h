/* The highest number that was seen of each source and key, in one partition. */
#ifndef HIGHEST_H
#define HIGHEST_H

#include <stddef.h>
#include <stdint.h>

/* With so many pairs, or so much text of theirs, all are forgotten: what comes again then, comes twice. */
enum { HIGHEST_PAIRS_MAX = 200000, HIGHEST_TEXT_MAX_BYTES = 64 << 20 };

struct highest_pair {
    uint64_t next; /* above the highest */
    size_t text_offset;
    uint32_t source_bytes, key_bytes, hash;
};

struct highest {
    uint8_t *text;
    size_t text_bytes, text_room;
    struct highest_pair *pairs;
    uint32_t count, pairs_room;
    uint32_t *table; /* 1 + the pair, 0: free */
    uint32_t table_room; /* a power of two, or 0 */
};

/* All zeros is one that has seen nothing. */
void highest_forget(struct highest *highest);
void highest_close(struct highest *highest);

/* The first number that would be new, 0 for a pair that was never seen; to be raised by the caller, before the next call. Null for want of
 * memory. */
uint64_t *highest_next(struct highest *highest, const uint8_t *source, size_t source_bytes, const uint8_t *key, size_t key_bytes);

#endif
