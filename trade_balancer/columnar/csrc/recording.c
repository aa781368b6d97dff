#include "recording.h"

#include <string.h>

enum { LENGTH_BYTES = 4, DIGITS_MAX = 19 };

static const char marker[] = "{\"ev\":\"lb\",\"dropped\":";

static size_t length_at(const uint8_t *bytes)
{
    return (size_t)bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 24;
}

/* How many records a marker says were dropped; 0 for any other record. */
static uint64_t dropped_by(const uint8_t *record, size_t length)
{
    const size_t head = sizeof marker - 1;
    uint64_t number = 0;
    if (length < head || memcmp(record, marker, head) != 0)
        return 0;
    size_t at = head;
    for (; at < length && at < head + DIGITS_MAX && record[at] >= '0' && record[at] <= '9'; at++)
        number = number * 10 + (uint64_t)(record[at] - '0');
    return at + 1 == length && record[at] == '}' ? number : 0;
}

/* Returns how many there were. */
static uint64_t newlines_to_spaces(uint8_t *text, size_t length)
{
    uint64_t newlines = 0;
    for (uint8_t *at = text; (at = memchr(at, '\n', length - (size_t)(at - text))); newlines++)
        *at = ' ';
    return newlines;
}

int64_t recording_lines(const uint8_t *frames, size_t length, uint8_t *to, struct recording_lines *lines)
{
    uint8_t *end = to;
    for (size_t at = 0; at < length;) {
        if (length - at < LENGTH_BYTES)
            return -1;
        const size_t record_bytes = length_at(frames + at);
        const uint8_t *record = frames + at + LENGTH_BYTES;
        if (length - at - LENGTH_BYTES < record_bytes)
            return -1;
        if (record_bytes) {
            memcpy(end, record, record_bytes);
            lines->newlines += newlines_to_spaces(end, record_bytes);
        }
        const uint64_t dropped = dropped_by(record, record_bytes);
        lines->markers += dropped > 0;
        lines->dropped += dropped;
        end[record_bytes] = '\n';
        end += record_bytes + 1;
        at += LENGTH_BYTES + record_bytes;
        lines->records++;
    }
    return end - to;
}

int64_t recording_frames(const uint8_t *text, size_t length, uint8_t *to, size_t room)
{
    int64_t lines = 0;
    for (size_t at = 0; at < length; lines++) {
        const uint8_t *line = text + at, *end = memchr(line, '\n', length - at);
        if (!end)
            return -1;
        const size_t bytes = (size_t)(end - line);
        if (bytes > UINT32_MAX || room < LENGTH_BYTES + bytes)
            return -1;
        for (int i = 0; i < LENGTH_BYTES; i++)
            to[i] = (uint8_t)(bytes >> 8 * i);
        if (bytes)
            memcpy(to + LENGTH_BYTES, line, bytes);
        to += LENGTH_BYTES + bytes;
        room -= LENGTH_BYTES + bytes;
        at += bytes + 1;
    }
    return lines;
}
