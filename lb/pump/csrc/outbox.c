#include "outbox.h"
#include "mapping.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { FLAT_FRAME_MAX_BYTES = PUMP_LENGTH_BYTES + FLAT_HEAD_MAX_BYTES + FLAT_MAX_BYTES };

void outbox_init(struct pump *pump, uint32_t number)
{
    const uint64_t begin = pump->pipe[number].begin;
    const uint64_t limit = begin + pump->config.high_water_bytes;
    pump->pipe[number] = (struct pump_pipe){
        .begin = begin,
        .limit = limit,
        .flat_limit = limit < begin + FLAT_FRAME_MAX_BYTES ? 0 : limit - FLAT_FRAME_MAX_BYTES,
        .head = begin,
        .tail = begin,
        .frame = begin,
        .fd = -1,
    };
}

void outbox_lift_limits(struct pump *pump)
{
    const uint64_t room_bytes = mapping_outbox_bytes(&pump->config);
    for (uint32_t number = 0; number < pump->config.pipes; number++) {
        struct pump_pipe *pipe = &pump->pipe[number];
        pipe->limit = pipe->begin + room_bytes;
        pipe->flat_limit = pipe->limit - FLAT_FRAME_MAX_BYTES;
    }
}

static size_t framed_bytes(const struct pump *pump, uint64_t frame)
{
    uint32_t wire_length;
    memcpy(&wire_length, pump_at(pump, frame), PUMP_LENGTH_BYTES);
    return PUMP_LENGTH_BYTES + le32toh(wire_length);
}

/* Nothing waits. What a long record, or all that came at a drain, has touched past the high-water mark is given
 * back: nothing else gets there, and with many pipes it would come to gigabytes. */
static void begin_anew(struct pump *pump, struct pump_pipe *pipe)
{
    const uint64_t touched_end = pipe->tail;
    const uint64_t mark = pipe->begin + pump->config.high_water_bytes;
    pipe->head = pipe->tail = pipe->frame = pipe->begin;
    if (touched_end > mark)
        mapping_give_back(pump, mark + DEAL_PAD_BYTES, touched_end + DEAL_PAD_BYTES);
}

/* Books what was written: frames before head are. */
static void settle(struct pump *pump, struct pump_pipe *pipe)
{
    if (pipe->head == pipe->tail) {
        pipe->written_total = pipe->dealt_total;
        begin_anew(pump, pipe);
        return;
    }
    for (uint64_t end = pipe->frame; (end += framed_bytes(pump, end)) <= pipe->head;) {
        pipe->frame = end;
        pipe->written_total++;
    }
}

static void set_full(struct pump *pump, struct pump_pipe *pipe, enum pipe_full full)
{
    pump->full_count -= pipe->full != PIPE_NOT_FULL;
    pump->paused_count -= pipe->full == PIPE_PAUSED;
    pipe->full = (uint8_t)full;
    pump->full_count += pipe->full != PIPE_NOT_FULL;
    pump->paused_count += pipe->full == PIPE_PAUSED;
}

static void pause_pipe(struct pump *pump, struct pump_pipe *pipe)
{
    set_full(pump, pipe, PIPE_PAUSED);
    pump->pause_ends_ns = now_ns() + PUMP_PAUSE_MS * INT64_C(1000000);
    pump->counters.pauses_total++;
}

/* Tells of the pipe, and puts it back into the list of those to be written. */
static int failed(struct pump *pump, uint32_t number)
{
    const int error = errno;
    outbox_touch(pump, &pump->pipe[number]);
    pump->detail.pipe = number;
    errno = error;
    return PUMP_ERR_PIPE;
}

/* Writes until nothing waits or no more is taken. Returns 0, or -1 with errno. */
static int write_out(struct pump *pump, struct pump_pipe *pipe)
{
    while (!pipe->full && pipe->fd >= 0 && pipe->head < pipe->tail) {
        const ssize_t written = write(pipe->fd, pump_at(pump, pipe->head), pipe->tail - pipe->head);
        if (written >= 0) {
            pipe->head += (size_t)written;
            pipe->written_bytes_total += (uint64_t)written;
        } else if (errno == EAGAIN) {
            set_full(pump, pipe, PIPE_FULL);
        } else if (errno == ENOMEM || errno == ENOBUFS) {
            pause_pipe(pump, pipe); /* pipe_write() says so where a page can't be charged */
        } else if (errno != EINTR) {
            return -1;
        }
    }
    return 0;
}

static int flush(struct pump *pump, uint32_t number)
{
    struct pump_pipe *pipe = &pump->pipe[number];
    const int rc = write_out(pump, pipe);
    settle(pump, pipe);
    return rc < 0 ? failed(pump, number) : 0;
}

int outbox_flush_full(struct pump *pump, uint32_t number)
{
    set_full(pump, &pump->pipe[number], PIPE_NOT_FULL);
    return flush(pump, number);
}

int outbox_flush_touched(struct pump *pump)
{
    const uint32_t count = pump->touched_count;
    const uint32_t *touched = outbox_touched(pump);
    int rc = 0, error = errno;
    pump->touched_count = 0;
    for (uint32_t at = 0; at < count; at++) { /* those that fail go back into the list, never beyond what was read of it */
        const uint32_t number = touched[at];
        pump->pipe[number].touched = 0;
        if (flush(pump, number) < 0) {
            rc = PUMP_ERR_PIPE;
            error = errno;
        }
    }
    errno = error;
    return rc;
}

void outbox_close(struct pump *pump, uint32_t number)
{
    set_full(pump, &pump->pipe[number], PIPE_NOT_FULL);
    pump->pipe[number].fd = -1;
}

/* Moves what waits to the outbox's begin. */
static void move_to_begin(struct pump *pump, struct pump_pipe *pipe)
{
    const uint64_t done = pipe->frame - pipe->begin;
    memmove(pump_at(pump, pipe->begin), pump_at(pump, pipe->frame), pipe->tail - pipe->frame);
    pipe->frame = pipe->begin;
    pipe->head -= done;
    pipe->tail -= done;
}

/* A record longer than the outbox may be alone in it. */
static int has_room(const struct pump_pipe *pipe, size_t bytes)
{
    return pipe->frame == pipe->tail || pipe->tail + bytes <= pipe->limit;
}

/* Drops the oldest records that were not begun to be written: half of what an outbox holds, or as much as `bytes`
 * want. By the half, because the rest must be moved; and few long gaps serve a reader better than many short ones. */
static void drop_oldest(struct pump *pump, struct pump_pipe *pipe, size_t bytes)
{
    const uint64_t half = (pipe->limit - pipe->begin) / 2;
    const uint64_t begin = pipe->head > pipe->frame ? pipe->frame + framed_bytes(pump, pipe->frame) : pipe->frame;
    uint64_t end = begin;
    for (const uint64_t wanted = half > bytes ? half : bytes; end < pipe->tail && end - begin < wanted;) {
        const size_t framed = framed_bytes(pump, end);
        end += framed;
        pipe->dealt_total--;
        pipe->dropped_total++;
        pipe->dropped_bytes_total += framed - PUMP_LENGTH_BYTES;
    }
    memmove(pump_at(pump, begin), pump_at(pump, end), pipe->tail - end);
    pipe->tail -= end - begin;
}

int outbox_make_room(struct pump *pump, uint32_t number, size_t bytes)
{
    struct pump_pipe *pipe = &pump->pipe[number];
    const int rc = flush(pump, number);
    if (rc < 0)
        return rc;
    /* Only when half is free: moving more bytes than were freed would cost more with every page that the reader
     * takes. */
    if (pipe->frame - pipe->begin >= pipe->tail - pipe->frame)
        move_to_begin(pump, pipe);
    if (pipe->policy == PUMP_POLICY_DROP_OLDEST && !has_room(pipe, bytes)) {
        drop_oldest(pump, pipe, bytes);
        move_to_begin(pump, pipe);
    }
    return has_room(pipe, bytes);
}

void pump_pipe_counters(const struct pump *pump, uint32_t number, struct pump_pipe_counters *counters)
{
    const struct pump_pipe *pipe = &pump->pipe[number];
    *counters = (struct pump_pipe_counters){
        .records_total = pipe->dealt_total + pipe->dropped_total,
        .written_total = pipe->written_total,
        .written_bytes_total = pipe->written_bytes_total,
        .waiting_bytes = pipe->tail - pipe->head,
        .dropped_total = pipe->dropped_total,
        .dropped_bytes_total = pipe->dropped_bytes_total,
        .stopped_ns_total = pipe->stopped_ns_total,
    };
    if (pump->counters.stopped && pump->counters.full_pipe == number)
        counters->stopped_ns_total += now_ns() - pump->stopped_since_ns;
    for (uint64_t frame = pipe->frame; frame < pipe->tail; frame += framed_bytes(pump, frame))
        counters->waiting_records++;
}
