/* How much of a write the pipe took, when the process that wrote has been killed before it could say so.
 *
 *   what the pipe holds    how much it took
 *   something              up to where its end is found among what was offered
 *   nothing                all: most likely somebody has read it; and so no record comes twice */
#include "in_flight.h"
#include "checkpoint.h"
#include "outbox.h"
#include "peek.h"
#include "realign.h"
#include "spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LOOKED_AT_BYTES = 4096 /* of the pipe's last bytes, at most */ };

#define UNSETTLED UINT64_MAX /* instead of its generation: whatever is saved meanwhile */

/* Where the bytes that wait for a pipe begin, and the frame that they are of, and where they end. */
struct waiting {
    uint64_t frame, head, tail;
};

static struct waiting waiting_of(const struct pump *pump, uint32_t number)
{
    const struct pump_pipe *pipe = &pump->pipe[number];
    if (!pipe->is_spilled)
        return (struct waiting){pipe->frame, pipe->head, pipe->tail};
    const struct spill *spill = spill_of(pump, number);
    return (struct waiting){spill->frame, spill->frame + spill->begun_bytes, spill->tail};
}

static void book(struct pump *pump, size_t taken)
{
    const uint32_t number = pump->write.pipe;
    struct pump_pipe *pipe = &pump->pipe[number];
    pump->write.generation = 0;
    pipe->written_bytes_total += taken;
    if (pipe->is_spilled) {
        spill_written(pump, number, taken);
    } else if (taken) {
        pipe->head += taken;
        outbox_settle(pump, pipe);
    }
}

int in_flight_take(struct pump *pump)
{
    struct pump_write *write = &pump->write;
    if (write->generation == 0 || (write->generation != pump->generation && write->generation != UNSETTLED)) {
        write->generation = 0;
        return 0;
    }
    if (write->pipe >= pump->config.pipes)
        return -1;
    const struct waiting waiting = waiting_of(pump, write->pipe);
    if (write->offset != waiting.head || write->bytes > waiting.tail - waiting.head)
        return -1;
    if (write->is_known)
        book(pump, write->bytes);
    else
        write->generation = UNSETTLED;
    return 0;
}

int pump_write_in_flight(const struct pump *pump)
{
    return pump->write.generation == UNSETTLED ? (int)pump->write.pipe : -1;
}

/* Copies what the pipe holds, and leaves it there. Returns how much, or -1 with errno. */
static ssize_t copy_pipe(int read_fd, uint8_t *bytes, size_t length)
{
    int ends[2];
    size_t copied = 0;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -1;
    ssize_t seen = -1;
    if (fcntl(ends[1], F_SETPIPE_SZ, fcntl(read_fd, F_GETPIPE_SZ)) >= 0)
        seen = tee(read_fd, ends[1], length, SPLICE_F_NONBLOCK);
    for (ssize_t got; seen > 0 && copied < (size_t)seen; copied += (size_t)got)
        if ((got = read(ends[0], bytes + copied, (size_t)seen - copied)) <= 0)
            break;
    close(ends[0]);
    close(ends[1]);
    return seen < 0 ? -1 : (ssize_t)copied;
}

/* Whether what is in the pipe may end with the bytes before `end`. */
static int ends_with(const struct pump *pump, const uint8_t *bytes, size_t length, uint64_t frame, uint64_t end)
{
    size_t looked_at = length < LOOKED_AT_BYTES ? length : LOOKED_AT_BYTES;
    looked_at = looked_at < end - frame ? looked_at : (size_t)(end - frame);
    return !memcmp(bytes + length - looked_at, pump_at(pump, end - looked_at), looked_at);
}

/* The last place up to `most` at which a pipe with these bytes can end; UINT64_MAX where there is none. */
static uint64_t find_end(const struct pump *pump, const uint8_t *bytes, size_t length, uint64_t most)
{
    const struct waiting waiting = waiting_of(pump, pump->write.pipe);
    const size_t begun_bytes = realign_begun_bytes(bytes, length, pump->config.max_frame_bytes);
    uint64_t found = UINT64_MAX;
    for (uint64_t at = waiting.frame; at <= most; at += pump_framed_bytes(pump, at)) {
        const uint64_t end = at + begun_bytes;
        if (end >= waiting.head && end <= most && ends_with(pump, bytes, length, waiting.frame, end))
            found = end;
        if (at == waiting.tail)
            break;
    }
    return found;
}

/* Of the pipe that holds so much. */
static size_t taken_of(const struct pump *pump, int read_fd, size_t queued)
{
    const struct pump_write *write = &pump->write;
    uint8_t *bytes = malloc(queued);
    uint64_t end = UINT64_MAX;
    if (bytes && copy_pipe(read_fd, bytes, queued) == (ssize_t)queued)
        end = find_end(pump, bytes, queued, write->offset + write->bytes);
    free(bytes);
    return end == UINT64_MAX ? (size_t)write->bytes : (size_t)(end - write->offset);
}

void pump_settle_write(struct pump *pump, int read_fd)
{
    int queued = 0;
    if (pump_write_in_flight(pump) < 0)
        return;
    if (ioctl(read_fd, FIONREAD, &queued) < 0 || queued < 0)
        queued = 0;
    book(pump, queued ? taken_of(pump, read_fd, (size_t)queued) : (size_t)pump->write.bytes);
    checkpoint_all(pump);
}
