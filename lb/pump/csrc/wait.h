/* Waiting: for the feed, for full pipes, for the wake-up fd, for a time. */
#ifndef WAIT_H
#define WAIT_H

#include "pump_state.h"

/* Whether poll() may not show what the source still has: the kernel's TLS may keep a record that it found behind
 * data, a key update. Only a read that finds nothing tells. */
static inline int wait_hides_input(const struct pump *pump)
{
    return pump->source == PUMP_SOURCE_KTLS;
}

/* Waits for something to do, and writes to the pipes that have room again. Returns 0 when there may be something, or
 * PUMP_WAKE, PUMP_READABLE, PUMP_DEADLINE, or an error. */
int wait_for_work(struct pump *pump, int64_t deadline_ns);

#endif
