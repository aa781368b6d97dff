/* Outboxes: what was dealt and is not written yet, and the pipes it is written to. */
#ifndef OUTBOX_H
#define OUTBOX_H

#include "pump_state.h"

/* Puts an outbox into the list of those to be written. */
static inline __attribute__((always_inline)) void outbox_touch(struct pump *pump, struct pump_pipe *pipe)
{
    if (pipe->touched)
        return;
    pipe->touched = 1;
    pump_touched(pump)[pump->touched_count++] = (uint32_t)(pipe - pump->pipe);
}

/* A record longer than the outbox may be alone in it. */
static inline int outbox_has_room(const struct pump_pipe *pipe, size_t bytes)
{
    return pipe->kept == pipe->tail || pipe->tail + bytes <= pipe->limit;
}

void outbox_init(struct pump *pump, uint32_t pipe);

/* Of a pump that is adopted, whose frames are proven: what is known of each pipe but for its frames is made anew. */
void outbox_adopt(struct pump *pump);

/* The same of one pipe that has nothing yet but its frames. */
void outbox_go_on(struct pump *pump, uint32_t pipe);

/* What was found on disk comes before all that is dealt. */
void outbox_begin_spilled(struct pump *pump, uint32_t pipe);

/* Of the next record, so many bytes were written; and none any more: it is written again whole. */
uint64_t outbox_begun_bytes(const struct pump *pump, uint32_t pipe);
void outbox_rewind(struct pump *pump, uint32_t pipe);

/* While draining: whether nothing waits for the pipe any more. What can be kept on disk does not. */
int outbox_is_drained(struct pump *pump, uint32_t pipe);

/* Makes room for `bytes` more. Returns 1 where there is now, 0 where the pipe is full, or an error. */
int outbox_make_room(struct pump *pump, uint32_t pipe, size_t bytes);

/* These write what waits. They return 0, or an error after all were tried: what failed is tried again with the next
 * flush. outbox_flush_full(): a pipe that was full and may be no more. */
int outbox_flush_full(struct pump *pump, uint32_t pipe);
int outbox_flush_touched(struct pump *pump);

/* Books what was written: frames before head are. Gives up what is not wanted any more. */
void outbox_settle(struct pump *pump, struct pump_pipe *pipe);

/* No outbox is full any more: each takes all that the input can hold. */
void outbox_lift_limits(struct pump *pump);

void outbox_close(struct pump *pump, uint32_t pipe);

#endif
