/* one-write-per-record: reads, cuts the array of each frame at the records' closing braces, and writes every record on its own,
 * behind its length, to the next pipe in turn: the classic way. The length is put over the four bytes in front of the record,
 * which are done with, so that one write suffices. Flat records only, which is all the benchmark's feeds have. */
#include "balancer.h"
#include "websocket.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define LENGTH_BYTES sizeof(uint32_t)

struct cutter {
    struct balancer *balancer;
    size_t frame_left_bytes; /* of the current frame's payload, from the cutter's position on */
    size_t next_pipe;
};

static _Bool deliver(struct cutter *cutter, unsigned char *record, size_t record_bytes)
{
    uint32_t length = htole32((uint32_t)record_bytes);
    memcpy(record - LENGTH_BYTES, &length, LENGTH_BYTES);
    int fd = cutter->balancer->pipe_fds[cutter->next_pipe];
    cutter->next_pipe = (cutter->next_pipe + 1) % cutter->balancer->pipe_count;
    return pipe_write(fd, record - LENGTH_BYTES, record_bytes + LENGTH_BYTES);
}

/* Cuts what it can; returns how many of the bytes are done with, or SIZE_MAX when the worker is gone. */
static size_t cut(struct cutter *cutter, unsigned char *bytes, size_t size)
{
    size_t at = 0;
    while (at < size) {
        if (!cutter->frame_left_bytes) {
            size_t header_bytes = websocket_read_header(bytes + at, size - at, &cutter->frame_left_bytes);
            if (!header_bytes)
                break;
            at += header_bytes;
            continue;
        }
        size_t step = 1; /* over '[', ',' or ']' */
        if (bytes[at] == '{') {
            size_t visible = size - at < cutter->frame_left_bytes ? size - at : cutter->frame_left_bytes;
            unsigned char *brace = memchr(bytes + at, '}', visible);
            if (!brace)
                break;
            step = (size_t)(brace + 1 - (bytes + at));
            if (!deliver(cutter, bytes + at, step))
                return SIZE_MAX;
        }
        at += step;
        cutter->frame_left_bytes -= step;
    }
    return at;
}

int main(int argc, char **argv)
{
    static unsigned char room[LENGTH_BYTES + READ_BYTES];
    unsigned char *bytes = room + LENGTH_BYTES;
    struct balancer balancer = balancer_start(argc, argv);
    struct cutter cutter = {.balancer = &balancer};
    size_t waiting = 0, received;
    while ((received = wire_read(&balancer.wire, bytes + waiting, READ_BYTES - waiting)) > 0) {
        size_t done = cut(&cutter, bytes, waiting + received);
        if (done == SIZE_MAX)
            return 1;
        waiting = waiting + received - done;
        memmove(bytes, bytes + done, waiting);
    }
    return 0;
}
