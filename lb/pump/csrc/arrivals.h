/* Arrivals: records as they came, one now and then, with the time of their read. */
#ifndef ARRIVALS_H
#define ARRIVALS_H

#include "pump_state.h"

/* A session begins: its first record is kept. */
void arrivals_begin(struct pump *pump);

/* Looks at what was dealt and is about to be written. */
void arrivals_note(struct pump *pump);

#endif
