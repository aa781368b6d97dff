/* A pipe whose reader died in the middle of a frame. */
#ifndef REALIGN_H
#define REALIGN_H

#include "peek.h"
#include "pump_state.h"

/* pump_realign(), with the caller's peek. *is_sent_again: what was dropped is of a record that is sent again whole. */
int64_t realign(struct pump *pump, uint32_t pipe, struct peek *peek, int read_fd, int *is_sent_again);

/* Of what a pipe holds, or of its end: how many bytes of a frame are its last that is not there as a whole. */
size_t realign_begun_bytes(const uint8_t *bytes, size_t length, uint64_t max_frame_bytes);

#endif
