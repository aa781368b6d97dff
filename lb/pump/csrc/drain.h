/* The drain: nothing more is read, and each pipe's end is told. */
#ifndef DRAIN_H
#define DRAIN_H

#include "pump_state.h"

/* While draining, once all is dealt. Returns PUMP_PIPE_DRAINED for the next pipe that is, PUMP_DRAINED when all are,
 * or 0. */
int drain_event(struct pump *pump);

#endif
