/* What is believed of a pump's state that comes from elsewhere. */
#ifndef ADOPT_H
#define ADOPT_H

#include "pump_state.h"

/* Whether what is known of a pipe stays within its parts, and fits together. */
int adopt_is_pipe(const struct pump *pump, uint32_t pipe);

#endif
