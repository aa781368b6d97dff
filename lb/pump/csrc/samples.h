/* Samples of records that no fast path could cut, the first of each kind. */
#ifndef SAMPLES_H
#define SAMPLES_H

#include "pump_state.h"

/* `kind`: the bytes that records of one kind have in common. */
void samples_note(struct pump *pump, const uint8_t *kind, size_t kind_bytes, const uint8_t *record, size_t length);

#endif
