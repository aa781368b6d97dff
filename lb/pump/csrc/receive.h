/* Receiving: bytes of the session into the input. */
#ifndef RECEIVE_H
#define RECEIVE_H

#include "pump_state.h"

/* Reads once. Returns 0, PUMP_EOF, PUMP_TLS_RECORD, or PUMP_ERR_RECV with errno. */
int receive(struct pump *pump);

#endif
