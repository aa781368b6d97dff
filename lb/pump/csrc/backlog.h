/* Which pipe has the least backlog: what waits for it in its outbox, and what lies in it unread. */
#ifndef BACKLOG_H
#define BACKLOG_H

#include "pump_state.h"

/* Chooses the pipe of the next portion. */
uint32_t backlog_choose(struct pump *pump);

/* The pipe of the next record: the one that was chosen last, until it has got its portion. */
static inline uint32_t backlog_pipe(struct pump *pump)
{
    if (pump->pipe[pump->next_pipe].tail - pump->portion_begin < pump->portion_bytes)
        return pump->next_pipe;
    return backlog_choose(pump);
}

/* That, or another where it has no room for `bytes` and the other has: so no record waits, or is dropped, for a full
 * pipe's sake. */
uint32_t backlog_pipe_with_room(struct pump *pump, size_t bytes);

/* Bytes were read or written: the next record's pipe is chosen anew. */
static inline void backlog_end_portion(struct pump *pump)
{
    pump->portion_bytes = 0;
}

/* Pipes were closed. */
static inline void backlog_look_again(struct pump *pump)
{
    pump->portion_bytes = 0;
    pump->backlog_due_ns = 0;
}

#endif
