#include "segment.h"
#include "crc32c.h"

#include <endian.h>
#include <string.h>

enum { VERSION = 1, VERSION_AT = 7, LENGTH_BYTES = 4 };

static const uint8_t segment_magic[VERSION_AT] = {'L', 'B', 'S', 'P', 'I', 'L', 'L'};
static const uint8_t block_magic[4] = {'L', 'B', 'S', 'B'};

static void put32(uint8_t *to, uint32_t value)
{
    value = htole32(value);
    memcpy(to, &value, sizeof value);
}

static void put64(uint8_t *to, uint64_t value)
{
    value = htole64(value);
    memcpy(to, &value, sizeof value);
}

static uint32_t get32(const uint8_t *from)
{
    uint32_t value;
    memcpy(&value, from, sizeof value);
    return le32toh(value);
}

static uint64_t get64(const uint8_t *from)
{
    uint64_t value;
    memcpy(&value, from, sizeof value);
    return le64toh(value);
}

void segment_done(uint8_t bytes[SEGMENT_DONE_BYTES], uint64_t done)
{
    put64(bytes, done);
    put64(bytes + 8, ~done);
}

void segment_header(uint8_t header[SEGMENT_HEADER_BYTES])
{
    memset(header, 0, SEGMENT_HEADER_BYTES);
    memcpy(header, segment_magic, sizeof segment_magic);
    header[VERSION_AT] = VERSION;
    segment_done(header + SEGMENT_DONE_AT, 0);
}

enum segment_kind segment_look(const uint8_t header[SEGMENT_HEADER_BYTES], uint64_t *done)
{
    *done = get64(header + SEGMENT_DONE_AT);
    const int is_believed = get64(header + SEGMENT_DONE_AT + 8) == ~*done;
    if (!is_believed)
        *done = 0;
    if (memcmp(header, segment_magic, sizeof segment_magic) != 0)
        return SEGMENT_DAMAGED;
    return header[VERSION_AT] != VERSION ? SEGMENT_OTHER_VERSION : is_believed ? SEGMENT_GOOD : SEGMENT_DAMAGED;
}

void block_header(const struct block *block, uint8_t header[BLOCK_HEADER_BYTES])
{
    memset(header, 0, BLOCK_HEADER_BYTES);
    memcpy(header, block_magic, sizeof block_magic);
    put32(header + 4, block->records);
    put64(header + 8, block->frames_bytes);
    put64(header + 16, block->first);
    put32(header + 28, crc32c(header, 28));
}

int block_look(const uint8_t header[BLOCK_HEADER_BYTES], uint64_t first, struct block *block)
{
    *block = (struct block){get32(header + 4), get64(header + 8), get64(header + 16)};
    return memcmp(header, block_magic, sizeof block_magic) == 0 && get32(header + 28) == crc32c(header, 28) &&
           block->first == first && block->records >= 1 && block->records <= BLOCK_RECORDS_MAX &&
           block->frames_bytes >= (uint64_t)block->records * LENGTH_BYTES;
}

void block_fill(struct block *block, const uint8_t *frames, size_t available, uint8_t *crcs)
{
    size_t end = 0;
    block->records = 0;
    while (end < available && block->records < BLOCK_RECORDS_MAX) {
        const size_t framed = LENGTH_BYTES + get32(frames + end);
        if (block->records && end + framed > BLOCK_FRAMES_BYTES)
            break;
        put32(crcs + (size_t)block->records * BLOCK_CRC_BYTES, crc32c(frames + end, framed));
        block->records++;
        end += framed;
    }
    block->frames_bytes = end;
}

/* The frame's length with that of its length, or 0 where it is not all there. */
static size_t whole_frame(const uint8_t *frames, size_t at, size_t available)
{
    if (available - at < LENGTH_BYTES)
        return 0;
    const size_t framed = (size_t)LENGTH_BYTES + get32(frames + at);
    return framed <= available - at ? framed : 0;
}

size_t block_skip(uint32_t records, const uint8_t *frames, size_t available)
{
    size_t at = 0, framed;
    while (records-- && (framed = whole_frame(frames, at, available)))
        at += framed;
    return at;
}

static int is_good(const uint8_t *crcs, uint32_t number, const uint8_t *frame, size_t framed)
{
    return get32(crcs + (size_t)number * BLOCK_CRC_BYTES) == crc32c(frame, framed);
}

uint32_t block_whole_records(const struct block *block, const uint8_t *crcs, const uint8_t *frames, size_t available)
{
    uint32_t number = 0;
    size_t at = 0, framed;
    while (number < block->records && (framed = whole_frame(frames, at, available)) &&
           is_good(crcs, number, frames + at, framed)) {
        at += framed;
        number++;
    }
    return number;
}

struct block_run block_next(const struct block *block, const uint8_t *crcs, const uint8_t *frames, size_t available,
                            uint32_t from)
{
    struct block_run run = {0};
    size_t at = 0, framed;
    for (uint32_t number = 0; number < block->records; number++, at += framed) {
        framed = whole_frame(frames, at, available);
        if (!framed) { /* a length was changed, and nothing tells where the next one is */
            run.damaged += run.records ? 0 : block->records - (number > from ? number : from);
            break;
        }
        if (number < from)
            continue;
        if (!is_good(crcs, number, frames + at, framed)) {
            if (run.records)
                break;
            run.damaged++;
            continue;
        }
        if (!run.records)
            run.begin = at;
        run.records++;
        run.bytes += framed;
    }
    return run;
}
