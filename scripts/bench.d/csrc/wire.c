#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

_Noreturn void die(const char *what)
{
    if (errno)
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
    else
        fprintf(stderr, "%s\n", what);
    exit(1);
}

static void wait_for(int fd, short events)
{
    struct pollfd pollfd = {.fd = fd, .events = events};
    if (poll(&pollfd, 1, -1) < 0 && errno != EINTR)
        die("poll");
}

void wire_write(struct wire *wire, const void *data, size_t size)
{
    const char *bytes = data;
    while (size) {
        ssize_t sent = wire->ssl ? SSL_write(wire->ssl, bytes, size > 1 << 20 ? 1 << 20 : (int)size)
                                 : send(wire->fd, bytes, size, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes += sent;
            size -= (size_t)sent;
        } else if (wire->ssl || errno != EINTR) {
            die("send");
        }
    }
}

void wire_read_exactly(struct wire *wire, void *data, size_t size)
{
    char *bytes = data;
    while (size) {
        ssize_t received = wire->ssl ? SSL_read(wire->ssl, bytes, (int)size) : recv(wire->fd, bytes, size, 0);
        if (received > 0) {
            bytes += received;
            size -= (size_t)received;
        } else if (received == 0) {
            errno = 0;
            die("the peer closed during the dialogue");
        } else if (wire->ssl || errno != EINTR) {
            die("recv");
        }
    }
}

/* The socket is non-blocking here: SSL_read on a blocking one would wait for the next record although this call already
 * holds some. */
static size_t tls_read(struct wire *wire, char *data, size_t size)
{
    size_t filled = 0;
    while (filled < size) {
        int received = SSL_read(wire->ssl, data + filled, (int)(size - filled));
        if (received > 0) {
            filled += (size_t)received;
            continue;
        }
        int reason = SSL_get_error(wire->ssl, received);
        if (reason == SSL_ERROR_WANT_READ && !filled)
            wait_for(wire->fd, POLLIN);
        else if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_ZERO_RETURN || reason == SSL_ERROR_SYSCALL)
            break;
        else
            die("SSL_read");
    }
    return filled;
}

size_t wire_read(struct wire *wire, void *data, size_t size)
{
    if (wire->ssl)
        return tls_read(wire, data, size);
    for (;;) {
        ssize_t received = recv(wire->fd, data, size, 0);
        if (received >= 0)
            return (size_t)received;
        if (errno == ECONNRESET)
            return 0;
        if (errno != EINTR)
            die("recv");
    }
}

_Bool pipe_write(int fd, const void *data, size_t size)
{
    const char *bytes = data;
    while (size) {
        ssize_t written = write(fd, bytes, size);
        if (written >= 0) {
            bytes += written;
            size -= (size_t)written;
        } else if (errno == EPIPE) {
            return 0;
        } else if (errno != EINTR) {
            die("write to a pipe");
        }
    }
    return 1;
}
