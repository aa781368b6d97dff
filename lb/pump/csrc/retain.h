/* What was written and not acknowledged: it stays in its outbox, behind `kept`.
 *
 * Law: an acknowledgement looks at no record. Of places between records, some are marked when they are written, and
 * `kept` goes from mark to mark; it may lag behind what is acknowledged by the bytes between two. */
#ifndef RETAIN_H
#define RETAIN_H

#include "pump_state.h"

enum {
    RETAIN_MARKS = 1024,
    RETAIN_MARK_BYTES = 64 * 1024 /* between two marks, at least */
};

struct retain_mark {
    uint64_t records;  /* how many were written before it, in all */
    uint64_t position; /* retain_position() */
};

/* Of an offset in the outbox: how many bytes were dealt to the pipe before it, in all. */
static inline uint64_t retain_position(const struct pump_pipe *pipe, uint64_t offset)
{
    return pipe->moved_bytes_total + (offset - pipe->begin);
}

/* Marks the begin of the first frame not written whole, where the last mark is far enough behind. */
void retain_mark(struct pump *pump, struct pump_pipe *pipe);

/* Moves `kept` to the last mark before what is not acknowledged, or to the end where all is. */
void retain_no_more(struct pump *pump, struct pump_pipe *pipe);

/* Moves `kept` to the first frame that is not acknowledged. */
void retain_exactly(struct pump *pump, struct pump_pipe *pipe);

/* Where retain_exactly() would move it to. */
uint64_t retain_exact(const struct pump *pump, const struct pump_pipe *pipe);

#endif
