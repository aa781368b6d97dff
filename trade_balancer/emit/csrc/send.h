/* One frame to many sockets.
 *
 * Law: a system call for each, that never waits; what a socket has not taken at once is told, and tried by somebody else. */
#ifndef SEND_H
#define SEND_H

#include <stddef.h>
#include <stdint.h>

/* cffi: begin */
struct short_send {
    uint32_t place; /* in `fds` */
    size_t bytes;   /* that were sent of the frame; 0 also where the socket has failed: whoever tries again sees how */
};

/* `shorts` has room for `count`. Returns how many of the sockets have not taken all of the frame. */
uint32_t send_to_all(const int *fds, uint32_t count, const uint8_t *frame, size_t bytes, struct short_send *shorts);
/* cffi: end */

#endif
