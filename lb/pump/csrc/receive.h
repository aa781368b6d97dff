/* Receiving: bytes of the session into the input. */
#ifndef RECEIVE_H
#define RECEIVE_H

#include "pump_state.h"

/* Reads once. Returns 0, PUMP_EOF, PUMP_TLS_RECORD, or PUMP_ERR_RECV with errno. */
int receive(struct pump *pump);

/* Of a pump that is adopted: books what its process has read and not come to. Returns as receive(), or -1 where that can't be. */
int receive_left(struct pump *pump);

#endif
