/* A ring of bytes, mapped twice, one copy behind the other: whatever it holds is contiguous. */
#ifndef RING_H
#define RING_H

#include <stddef.h>
#include <stdint.h>

struct ring {
    uint8_t *bytes;
    uint64_t capacity; /* a power of two */
};

/* Makes one of at least so many bytes. Returns 0, or -1 with errno. */
int ring_new(struct ring *ring, uint64_t bytes);
void ring_free(struct ring *ring);

/* Where the byte at a position is, and up to `capacity` bytes behind it. Positions only grow. */
static inline uint8_t *ring_at(const struct ring *ring, uint64_t position)
{
    return ring->bytes + (position & (ring->capacity - 1));
}

#endif
