/* What the pump knows of a pipe's spill: see spill.h. */
#ifndef SPILL_STATE_H
#define SPILL_STATE_H

#include "pump_state.h"
#include "segment.h"

enum { SPILL_SCRATCH_BYTES = SEGMENT_HEADER_BYTES + BLOCK_HEAD_MAX_BYTES };

/* Of one pipe. The front's offsets are in the mapping; records and bytes are those that are not written whole. */
struct spill {
    uint64_t front;        /* where the front begins */
    uint64_t frame;        /* the next record in it */
    uint64_t tail;         /* its end */
    uint64_t begun_bytes;  /* of the next record, length included, that were written to the pipe */
    uint64_t records;
    uint64_t bytes;        /* lengths included */
    uint64_t read_segment;
    uint64_t read_offset;  /* of the next block; 0: the segment's header was not read yet */
    uint64_t read_index;   /* of the next record in the segment */
    uint64_t read_first;   /* of the first record of the block at read_offset */
    uint64_t write_segment;
    uint64_t write_offset; /* 0: there is no file yet */
    uint64_t write_index;
    uint64_t written_total;
    uint64_t recovered_total;
    uint64_t damaged_total;
};

static inline int spill_is_on(const struct pump_config *config)
{
    return config->spill_max_bytes != 0;
}

static inline struct spill *spill_of(const struct pump *pump, uint32_t pipe)
{
    return (struct spill *)(void *)pump_at(pump, pump->spills_offset) + pipe;
}

/* How many bytes a front can hold. */
static inline uint64_t spill_front_bytes(const struct pump_config *config)
{
    const uint64_t longest_bytes = PUMP_LENGTH_BYTES + config->max_frame_bytes;
    return longest_bytes > BLOCK_FRAMES_BYTES ? longest_bytes : BLOCK_FRAMES_BYTES;
}

#endif
