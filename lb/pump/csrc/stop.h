/* The stop: a full pipe stops the reading. Which pipe, since when, and whether that was told. */
#ifndef STOP_H
#define STOP_H

#include "pump_state.h"

/* Books whether a pipe stops the reading now: held_pipe. A pipe's stop goes on where it was dealt some records and
 * is full again; it ends where another pipe takes its place. */
void stop_note(struct pump *pump, uint32_t is_stopped);

/* When PUMP_STALLED is to be told; INT64_MAX where nothing is stopped, or it was. */
static inline int64_t stop_due_ns(const struct pump *pump)
{
    const int is_due = pump->counters.stopped && !pump->is_stall_told;
    return is_due ? pump->stopped_since_ns + pump->config.stall_ns : INT64_MAX;
}

/* Returns PUMP_STALLED or PUMP_RESUMED where that is to be told, or 0. */
int stop_event(struct pump *pump);

#endif
