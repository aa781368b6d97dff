#include <sys/socket.h>
#include <sys/types.h>

#include "send.h"

uint32_t send_to_all(const int *fds, uint32_t count, const uint8_t *frame, size_t bytes, struct short_send *shorts)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        const ssize_t sent = send(fds[i], frame, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent != (ssize_t)bytes)
            shorts[found++] = (struct short_send){i, sent < 0 ? 0 : (size_t)sent};
    }
    return found;
}
