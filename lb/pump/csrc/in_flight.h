/* A write that a process has begun, and of which it has not come to know how much the pipe took. */
#ifndef IN_FLIGHT_H
#define IN_FLIGHT_H

#include "pump_state.h"

/* Of a pump that is adopted: books a write whose end is known, and holds one fast whose end is not, for pump_settle_write().
 * Returns 0, or -1 where it can't be. */
int in_flight_take(struct pump *pump);

#endif
