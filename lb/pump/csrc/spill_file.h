/* The files of the spill, each open for one call only. */
#ifndef SPILL_FILE_H
#define SPILL_FILE_H

#include "segment.h"
#include "spill_state.h"

/* Returns a descriptor, or -1 with errno. */
int spill_file_open(const struct pump *pump, uint32_t pipe, uint64_t segment, int flags);

/* Leaves errno alone. */
void spill_file_close(int fd);

/* Deletes the segment, if there is one. */
void spill_file_delete(struct pump *pump, uint32_t pipe, uint64_t segment);

/* Writes the first of `available` bytes of the outbox's frames, as a block, to the end of the pipe's last segment.
 * Returns 0, or -1 with errno: then nothing was written. */
int spill_file_append(struct pump *pump, uint32_t pipe, const uint8_t *frames, size_t available, struct block *block);

/* Of a pump that is adopted: takes back what its process has appended and not come to know. Leaves errno alone. */
void spill_file_take_back(const struct pump *pump, uint32_t pipe);

/* These read from a segment. Each returns 1, 0 where no such thing is there, or -1 with errno. A block's CRCs come
 * into the pump's scratch, its frames into the front; of one that was not written to its end, *available is less than
 * frames_bytes, and `records` those that are good. */
int spill_file_header(int fd, enum segment_kind *kind, uint64_t *done);
int spill_file_block_header(int fd, uint64_t offset, uint64_t first, struct block *block);
int spill_file_block(const struct pump *pump, uint32_t pipe, int fd, uint64_t offset, struct block *block,
                     size_t *available);

/* Of a segment's records, so many are done. What can't be noted comes twice after a crash. */
void spill_file_note_done(int fd, uint64_t done);

/* Where spill_file_block() has put the CRCs. */
uint8_t *spill_file_crcs(const struct pump *pump);

#endif
