#include "pump.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

void outbox_init(struct pump *pump, uint32_t number, uint64_t begin)
{
    const uint64_t limit = begin + pump->config.high_water_bytes;
    const uint64_t flat_bytes = PUMP_LENGTH_BYTES + FLAT_MAX_BYTES;
    pump->pipe[number] = (struct pump_pipe){
        .begin = begin,
        .limit = limit,
        .flat_limit = limit < begin + flat_bytes ? 0 : limit - flat_bytes,
        .head = begin,
        .tail = begin,
        .frame = begin,
        .fd = -1,
    };
}

/* Besides what may wait when draining begins, all that the input can hold: of its smallest records, "{}" and a separator, three
 * bytes become six. */
uint64_t outbox_room_bytes(const struct pump_config *config, size_t input_bytes)
{
    const uint64_t longest_bytes = PUMP_LENGTH_BYTES + config->max_frame_bytes;
    return (config->high_water_bytes > longest_bytes ? config->high_water_bytes : longest_bytes) + 2 * (uint64_t)input_bytes;
}

void outbox_lift_limits(struct pump *pump)
{
    const uint64_t room_bytes = outbox_room_bytes(&pump->config, pump->input_capacity_bytes);
    for (uint32_t number = 0; number < pump->config.pipes; number++) {
        struct pump_pipe *pipe = &pump->pipe[number];
        pipe->limit = pipe->begin + room_bytes;
        pipe->flat_limit = pipe->limit - PUMP_LENGTH_BYTES - FLAT_MAX_BYTES;
    }
}

static size_t framed_bytes(const struct pump *pump, uint64_t frame)
{
    uint32_t wire_length;
    memcpy(&wire_length, pump_at(pump, frame), PUMP_LENGTH_BYTES);
    return PUMP_LENGTH_BYTES + le32toh(wire_length);
}

/* Books what was written: frames before head are. */
static void settle(struct pump *pump, struct pump_pipe *pipe)
{
    if (pipe->head == pipe->tail) {
        pipe->written_total = pipe->dealt_total;
        pipe->head = pipe->tail = pipe->frame = pipe->begin;
        return;
    }
    for (uint64_t end = pipe->frame; (end += framed_bytes(pump, end)) <= pipe->head;) {
        pipe->frame = end;
        pipe->written_total++;
    }
}

int outbox_flush(struct pump *pump, uint32_t number)
{
    struct pump_pipe *pipe = &pump->pipe[number];
    while (!pipe->full && pipe->fd >= 0 && pipe->head < pipe->tail) {
        const ssize_t written = write(pipe->fd, pump_at(pump, pipe->head), pipe->tail - pipe->head);
        if (written >= 0) {
            pipe->head += (size_t)written;
            pipe->written_bytes_total += (uint64_t)written;
        } else if (errno == EAGAIN) {
            pipe->full = 1;
            pump->full_count++;
        } else if (errno != EINTR) {
            return PUMP_ERR_PIPE;
        }
    }
    settle(pump, pipe);
    return 0;
}

int outbox_flush_touched(struct pump *pump)
{
    while (pump->touched_count) {
        const uint32_t number = pump_touched(pump)[--pump->touched_count];
        pump->pipe[number].touched = 0;
        const int rc = outbox_flush(pump, number);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int outbox_make_room(struct pump *pump, uint32_t number, size_t bytes)
{
    struct pump_pipe *pipe = &pump->pipe[number];
    const int rc = outbox_flush(pump, number);
    if (rc < 0)
        return rc;
    /* Only when half is free: moving more bytes than were freed would cost more with every page that the reader takes. */
    const uint64_t done = pipe->frame - pipe->begin;
    const uint64_t left = pipe->tail - pipe->frame;
    if (done && done >= left) {
        memmove(pump_at(pump, pipe->begin), pump_at(pump, pipe->frame), left);
        pipe->frame = pipe->begin;
        pipe->head -= done;
        pipe->tail -= done;
    }
    return left == 0 || pipe->tail + bytes <= pipe->limit;
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
        .stopped_ns_total = pipe->stopped_ns_total,
    };
    if (pump->counters.stopped && pump->counters.full_pipe == number)
        counters->stopped_ns_total += now_ns() - pump->stopped_since_ns;
    for (uint64_t frame = pipe->frame; frame < pipe->tail; frame += framed_bytes(pump, frame))
        counters->waiting_records++;
}
