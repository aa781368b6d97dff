#include "ring.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LEAST_BYTES = 64 * 1024 };

static uint64_t power_of_two(uint64_t bytes)
{
    uint64_t capacity = LEAST_BYTES;
    while (capacity < bytes)
        capacity *= 2;
    return capacity;
}

static int map_twice(struct ring *ring, int memory)
{
    const int protection = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_FIXED;
    uint8_t *bytes = mmap(NULL, 2 * ring->capacity, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bytes == MAP_FAILED)
        return -1;
    ring->bytes = bytes;
    for (int copy = 0; copy < 2; copy++)
        if (mmap(bytes + (uint64_t)copy * ring->capacity, ring->capacity, protection, flags, memory, 0) == MAP_FAILED)
            return -1;
    return 0;
}

int ring_new(struct ring *ring, uint64_t bytes)
{
    *ring = (struct ring){.capacity = power_of_two(bytes)};
    const int memory = memfd_create("lb reader", MFD_CLOEXEC);
    if (memory < 0)
        return -1;
    const int is_made = ftruncate(memory, (off_t)ring->capacity) == 0 && map_twice(ring, memory) == 0;
    const int error = errno;
    close(memory);
    if (!is_made)
        ring_free(ring);
    errno = error;
    return is_made ? 0 : -1;
}

void ring_free(struct ring *ring)
{
    if (ring->bytes)
        munmap(ring->bytes, 2 * ring->capacity);
    ring->bytes = NULL;
}
