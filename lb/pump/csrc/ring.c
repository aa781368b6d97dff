#include "ring.h"

#include <errno.h>
#include <sys/mman.h>

uint64_t ring_capacity(uint64_t bytes)
{
    uint64_t capacity = RING_LEAST_BYTES;
    while (capacity < bytes)
        capacity *= 2;
    return capacity;
}

int ring_map(struct ring *ring, int memory_fd, uint64_t offset)
{
    const int protection = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_FIXED;
    uint8_t *bytes = mmap(NULL, 2 * ring->capacity, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ring->bytes = bytes == MAP_FAILED ? NULL : bytes;
    for (int copy = 0; ring->bytes && copy < 2; copy++) {
        if (mmap(bytes + (uint64_t)copy * ring->capacity, ring->capacity, protection, flags, memory_fd, (off_t)offset) == MAP_FAILED) {
            const int error = errno;
            ring_unmap(ring);
            errno = error;
        }
    }
    return ring->bytes ? 0 : -1;
}

void ring_unmap(struct ring *ring)
{
    if (ring->bytes)
        munmap(ring->bytes, 2 * ring->capacity);
    ring->bytes = NULL;
}

void ring_free(struct ring *ring)
{
    if (ring->bytes)
        madvise(ring->bytes, ring->capacity, MADV_REMOVE);
    ring_unmap(ring);
}
