/* What a segment of spilled records looks like. No system call, no memory of its own.
 *
 *   segment  header | block | block ...
 *   header   "LBSPILL" | version, 1 byte | done, 8 | ~done, 8 | 0, 8
 *   block    header | CRC-32C of each frame, 4 each | frames as they stand on a pipe: 4-byte length, record
 *   header   "LBSB" | number of records, 4 | bytes of the frames, 8 | index of the first record in the segment, 8 |
 *   of it    0, 4 | CRC-32C of the 28 bytes before it, 4
 *
 * Numbers are little-endian. `done`: of so many records, the segment's first, a reader has been told; written anew as
 * reading goes on. A CRC for each record, so that a damaged one costs no other, and a block that was not written to
 * its end is good up to its last whole record. */
#ifndef SEGMENT_H
#define SEGMENT_H

#include <stddef.h>
#include <stdint.h>

enum {
    SEGMENT_HEADER_BYTES = 32,
    SEGMENT_DONE_AT = 8,
    SEGMENT_DONE_BYTES = 16,
    BLOCK_HEADER_BYTES = 32,
    BLOCK_CRC_BYTES = 4,
    BLOCK_RECORDS_MAX = 8192,
    BLOCK_FRAMES_BYTES = 256 * 1024, /* of more than one record; this much stays in the second-level cache */
    BLOCK_HEAD_MAX_BYTES = BLOCK_HEADER_BYTES + BLOCK_RECORDS_MAX * BLOCK_CRC_BYTES
};

enum segment_kind { SEGMENT_GOOD, SEGMENT_DAMAGED, SEGMENT_OTHER_VERSION };

struct block {
    uint32_t records;
    uint64_t frames_bytes;
    uint64_t first; /* index in the segment of its first record */
};

/* Good records one behind the other in a block, and what stands before them. */
struct block_run {
    uint32_t damaged; /* records passed over */
    uint32_t records;
    size_t begin, bytes; /* of the frames */
};

void segment_header(uint8_t header[SEGMENT_HEADER_BYTES]);
void segment_done(uint8_t bytes[SEGMENT_DONE_BYTES], uint64_t done);

/* *done is 0 where it can't be believed: rather twice than never. */
enum segment_kind segment_look(const uint8_t header[SEGMENT_HEADER_BYTES], uint64_t *done);

/* Takes the first of `available` bytes of whole frames into a block: *block but for `first`, and their CRCs. */
void block_fill(struct block *block, const uint8_t *frames, size_t available, uint8_t *crcs);
void block_header(const struct block *block, uint8_t header[BLOCK_HEADER_BYTES]);

/* Returns whether this is the header of the block that begins with this record. */
int block_look(const uint8_t header[BLOCK_HEADER_BYTES], uint64_t first, struct block *block);

static inline size_t block_head_bytes(const struct block *block)
{
    return BLOCK_HEADER_BYTES + (size_t)block->records * BLOCK_CRC_BYTES;
}

/* Of a block with only `available` of its frames' bytes: how many good records it begins with. */
uint32_t block_whole_records(const struct block *block, const uint8_t *crcs, const uint8_t *frames, size_t available);

/* How many bytes so many frames have, of `available`. */
size_t block_skip(uint32_t records, const uint8_t *frames, size_t available);

/* Finds the next good records, from record `from` on; `available` bytes of frames are there. */
struct block_run block_next(const struct block *block, const uint8_t *crcs, const uint8_t *frames, size_t available,
                            uint32_t from);

#endif
