/* limit: reads up to 256 KiB and writes the same bytes, in equal parts, to the pipes. It never looks at them, so what it costs
 * is what the kernel takes for moving the bytes: no balancer that moves them with recv and write can cost less.
 * With a wss:// URL the same loop is tls-limit: SSL_read and write. */
#include "balancer.h"

int main(int argc, char **argv)
{
    static char bytes[READ_BYTES];
    struct balancer balancer = balancer_start(argc, argv);
    size_t size;
    while ((size = wire_read(&balancer.wire, bytes, sizeof bytes)) > 0) {
        size_t start = 0;
        for (size_t i = 0; i < balancer.pipe_count; i++) {
            size_t end = size * (i + 1) / balancer.pipe_count;
            if (end > start && !pipe_write(balancer.pipe_fds[i], bytes + start, end - start))
                return 1;
            start = end;
        }
    }
    return 0;
}
