/* The input: frames to messages, messages to the layout that deals them. */
#ifndef INPUT_H
#define INPUT_H

#include "layout.h"

/* Reads and deals until more bytes are needed (0), a pipe is full (DEAL_FULL), an event, or an error. */
int input_parse(struct pump *pump);

/* Forgets the session: the next begins with a frame. */
void input_reset(struct pump *pump);

#endif
