/* What a pipe's reader says on its channel (lb/slots/channel.py), as far as it is an acknowledgement.
 *
 * Law: takes those packets that are one and can be true, up to the first that is not: this and all behind it are
 * Python's to take. So a stream of acknowledgements costs no turn of Python's. */
#ifndef HEAR_H
#define HEAR_H

#include "pump_state.h"

/* Returns how many of the pipe's records are acknowledged, in all, as of the last packet taken. */
uint64_t hear_acknowledged(const struct pump_pipe *pipe);

#endif
