#include "peek.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct peek *peek_open(void)
{
    int ends[2];
    struct peek *peek = malloc(sizeof *peek);
    if (!peek || pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
        free(peek);
        return NULL;
    }
    peek->out = ends[0];
    peek->in = ends[1];
    fcntl(peek->in, F_SETPIPE_SZ, PEEK_BYTES); /* a smaller one only looks less far */
    return peek;
}

void peek_close(struct peek *peek)
{
    const int error = errno;
    close(peek->in);
    close(peek->out);
    free(peek);
    errno = error;
}

/* Fills the peek with what tee() or splice(), which answered `seen`, has put into the scratch pipe. */
static int fill(struct peek *peek, ssize_t seen)
{
    if (seen <= 0)
        return seen == 0 || errno == EAGAIN ? 0 : -1;
    for (peek->length = 0; peek->length < (size_t)seen;) {
        const ssize_t got = read(peek->out, peek->bytes + peek->length, (size_t)seen - peek->length);
        if (got > 0)
            peek->length += (size_t)got;
        else if (got == 0 || errno != EINTR)
            return -1;
    }
    return 1;
}

int peek_look(struct peek *peek, int read_fd)
{
    return fill(peek, tee(read_fd, peek->in, PEEK_BYTES, SPLICE_F_NONBLOCK));
}

int peek_take(struct peek *peek, int read_fd)
{
    return fill(peek, splice(read_fd, NULL, peek->in, NULL, PEEK_BYTES, SPLICE_F_NONBLOCK));
}
