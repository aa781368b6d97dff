#include <string.h>

#include "outbox.h"

size_t frames_of_lines(const uint8_t *lines, size_t bytes, uint8_t *frames, uint32_t *count)
{
    const uint8_t *end = lines + bytes;
    uint8_t *to = frames;
    *count = 0;
    for (bool is_last = false; !is_last; ++*count) {
        const uint8_t *found = memchr(lines, '\n', (size_t)(end - lines));
        is_last = found == NULL;
        const size_t length = (size_t)((is_last ? end : found) - lines);
        for (unsigned i = 0; i < 4; i++)
            *to++ = (uint8_t)(length >> 8 * i);
        memcpy(to, lines, length);
        to += length;
        lines += length + !is_last;
    }
    return (size_t)(to - frames);
}
