/* A ring of bytes, mapped twice, one copy behind the other: whatever it holds is contiguous. Its memory is a part of a file, which
 * another process may have, too. */
#ifndef RING_H
#define RING_H

#include <stddef.h>
#include <stdint.h>

enum { RING_LEAST_BYTES = 64 * 1024 };

struct ring {
    uint8_t *bytes;    /* this process's: NULL where it is not mapped */
    uint64_t capacity; /* a power of two, RING_LEAST_BYTES or more */
};

/* The capacity of one of at least so many bytes. */
uint64_t ring_capacity(uint64_t bytes);

/* Maps one whose `capacity` is set, from this offset of the file on. Returns 0, or -1 with errno. */
int ring_map(struct ring *ring, int memory_fd, uint64_t offset);
void ring_unmap(struct ring *ring);

/* The same, and its memory is given back. */
void ring_free(struct ring *ring);

/* Where the byte at a position is, and up to `capacity` bytes behind it. Positions only grow. */
static inline uint8_t *ring_at(const struct ring *ring, uint64_t position)
{
    return ring->bytes + (position & (ring->capacity - 1));
}

#endif
