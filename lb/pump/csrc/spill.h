/* The spill: records on disk that wait for a pipe whose outbox was full.
 *
 *   feed -> outbox -> segments -> front -> pipe      while the pipe is spilled
 *   feed -> outbox -> pipe                           else
 *
 * Each pipe has segments of its own, in files PIPE-NUMBER.spill whose names tell the order. They are written at the
 * last one's end, and read block by block into the front, a buffer in memory. A record stays in its segment until it
 * was written to the pipe whole, also one that was begun: how much of it was is remembered. So all that is lost with
 * this process is what is still in the outbox; and a segment goes when all of it is done.
 *
 * No file is kept open between two calls: there may be 65536 pipes. */
#ifndef SPILL_H
#define SPILL_H

#include "spill_state.h"

/* Puts the outbox's records behind what is spilled, as many as the disk takes. Not tried again at once where it has
 * just refused. */
void spill_outbox(struct pump *pump, uint32_t pipe);

/* Fills the front, which must be empty, with the next records. Returns 1, 0 where none are left and the pipe is
 * spilled no more, or -1 with errno. */
int spill_load(struct pump *pump, uint32_t pipe);

/* Of the front, `bytes` more were written to the pipe. */
void spill_written(struct pump *pump, uint32_t pipe, size_t bytes);

/* How many bytes of the front are to be written now. While draining, these are the rest of a record that was begun. */
size_t spill_due_bytes(const struct pump *pump, uint32_t pipe);

/* Writes down what is done, for the next start. */
void spill_note_done(struct pump *pump, uint32_t pipe);

#endif
