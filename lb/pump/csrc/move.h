/* Bytes that change their place within the mapping, so that a kill in the middle tears nothing. */
#ifndef MOVE_H
#define MOVE_H

#include "pump_state.h"

/* Three steps: what is known of the pump names the new place, and the move is planned; that is saved, by one checkpoint; and the
 * bytes follow. Offsets in the mapping. */
void move_plan(struct pump *pump, uint64_t to, uint64_t from, uint64_t bytes);
void move_go(struct pump *pump);

/* Of a pump that is adopted: ends a move that its process has not ended. Returns 0, or -1 where that leads outside of its parts. */
int move_finish(struct pump *pump);

#endif
