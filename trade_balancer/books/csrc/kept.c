#include "kept.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 4096, HEAD_BYTES = sizeof(uint32_t) };

static int grow(struct kept *kept, size_t *all_bytes, size_t wanted)
{
    size_t capacity = kept->capacity ? kept->capacity : FIRST_BYTES;
    while (capacity < wanted)
        capacity *= 2;
    if (capacity == kept->capacity)
        return 0;
    if (*all_bytes + capacity - kept->capacity > KEPT_ALL_MAX_BYTES)
        return -1;
    uint8_t *larger = realloc(kept->bytes, capacity);
    if (!larger)
        return -1;
    *all_bytes += capacity - kept->capacity;
    kept->bytes = larger;
    kept->capacity = capacity;
    return 0;
}

int kept_add(struct kept *kept, size_t *all_bytes, const uint8_t *message, size_t bytes)
{
    if (bytes > KEPT_MAX_BYTES || kept->used + HEAD_BYTES + bytes > KEPT_MAX_BYTES)
        return -1;
    if (grow(kept, all_bytes, kept->used + HEAD_BYTES + bytes))
        return -1;
    const uint32_t head = (uint32_t)bytes;
    memcpy(kept->bytes + kept->used, &head, HEAD_BYTES);
    memcpy(kept->bytes + kept->used + HEAD_BYTES, message, bytes);
    kept->used += HEAD_BYTES + bytes;
    return 0;
}

const uint8_t *kept_next(const struct kept *kept, size_t *at, size_t *bytes)
{
    uint32_t head;
    if (*at == kept->used)
        return NULL;
    memcpy(&head, kept->bytes + *at, HEAD_BYTES);
    const uint8_t *message = kept->bytes + *at + HEAD_BYTES;
    *bytes = head;
    *at += HEAD_BYTES + head;
    return message;
}

void kept_free(struct kept *kept, size_t *all_bytes)
{
    *all_bytes -= kept->capacity;
    free(kept->bytes);
    *kept = (struct kept){0};
}
