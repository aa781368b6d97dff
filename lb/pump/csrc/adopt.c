/* A pump that another process has left in its mapping goes on in this one.
 *
 * Law: nothing in the mapping is believed. What is an offset, an index or a length is proven to stay within its part
 * and to fit the others; what can be made anew is; numbers that only count are taken as they are, and texts are what a
 * feed might have sent. One that does not pass is refused, whatever the reason: a half-believed one would write records
 * that nobody sent. */
#include "adopt.h"
#include "backlog.h"
#include "checkpoint.h"
#include "in_flight.h"
#include "layout.h"
#include "mapping.h"
#include "move.h"
#include "outbox.h"
#include "readers.h"
#include "receive.h"
#include "retain.h"
#include "scan.h"
#include "spill_file.h"

#include <errno.h>

enum { SPILL_SEGMENTS_MAX = 1000 * 1000 };

/* Walks from frame to frame, from `at` up to exactly `end`. Returns how many there are, or -1. */
static int64_t count_frames(const struct pump *pump, uint64_t at, uint64_t end)
{
    int64_t frames = 0;
    for (; at < end; frames++) {
        if (end - at < PUMP_LENGTH_BYTES)
            return -1;
        const uint64_t framed = pump_framed_bytes(pump, at);
        if (framed > PUMP_LENGTH_BYTES + pump->config.max_frame_bytes || framed > end - at)
            return -1;
        at += framed;
    }
    return frames;
}

static int is_retained(const struct pump *pump, const struct pump_pipe *pipe)
{
    if (!pump->config.retains)
        return pipe->kept == pipe->frame && !pipe->kept_total && !pipe->acknowledged_total;
    const int64_t kept = count_frames(pump, pipe->kept, pipe->frame);
    return kept >= 0 && pipe->kept_total <= pipe->acknowledged_total &&
           pipe->acknowledged_total <= pipe->written_total && pipe->written_total - pipe->kept_total == (uint64_t)kept &&
           pipe->first_record <= pipe->acknowledged_total;
}

static int is_outbox(const struct pump *pump, const struct pump_pipe *pipe)
{
    const uint64_t most = pipe->begin + mapping_outbox_bytes(&pump->config);
    if (pipe->begin > pipe->kept || pipe->kept > pipe->frame || pipe->frame > pipe->head || pipe->head > pipe->tail ||
        pipe->tail > most)
        return 0;
    const int64_t waiting = count_frames(pump, pipe->frame, pipe->tail);
    if (waiting < 0 || pipe->dealt_total - pipe->spilled_total - pipe->written_total != (uint64_t)waiting)
        return 0;
    const uint64_t begun_bytes = pipe->head - pipe->frame;
    return (!begun_bytes || begun_bytes < pump_framed_bytes(pump, pipe->frame)) && is_retained(pump, pipe);
}

static int is_spill(const struct pump *pump, const struct pump_pipe *pipe, const struct spill *spill)
{
    const uint64_t most = spill->front + spill_front_bytes(&pump->config);
    if (pump->config.retains || spill->write_segment - spill->read_segment > SPILL_SEGMENTS_MAX)
        return 0;
    if (pipe->spilled_total + spill->recovered_total != spill->written_total + spill->records + spill->damaged_total)
        return 0;
    if (!pipe->is_spilled || spill->frame == spill->tail) /* nothing is in the front */
        return spill->begun_bytes == 0 && (pipe->is_spilled ? pipe->head == pipe->frame : spill->records == 0);
    if (spill->front > spill->frame || spill->frame > spill->tail || spill->tail > most || pipe->head != pipe->frame)
        return 0;
    const int64_t frames = count_frames(pump, spill->frame, spill->tail);
    return frames > 0 && (uint64_t)frames <= spill->records && spill->begun_bytes < pump_framed_bytes(pump, spill->frame);
}

int adopt_is_pipe(const struct pump *pump, uint32_t number)
{
    const struct pump_pipe *pipe = &pump->pipe[number];
    const int has_spill = spill_is_on(&pump->config);
    if (pipe->is_done || pipe->is_spilled > has_spill || (pipe->spilled_total && !has_spill) || pipe->policy > (has_spill ? PUMP_POLICY_SPILL : PUMP_POLICY_DROP_OLDEST))
        return 0;
    return is_outbox(pump, pipe) && (!has_spill || is_spill(pump, pipe, spill_of(pump, number)));
}

/* The frame and the message in hand. */
static int is_input(const struct pump *pump)
{
    const struct scan *scan = &pump->scan;
    if (pump->text_begin > pump->text_end || pump->text_end > pump->raw_begin || pump->raw_begin > pump->raw_end ||
        pump->raw_end > pump->input_capacity_bytes || pump->input_touched_bytes > pump->input_capacity_bytes)
        return 0;
    const size_t text_bytes = pump->text_end - pump->text_begin;
    if (!pump->in_message)
        return !pump->frame_left_bytes && !text_bytes && !pump->held_bytes;
    return pump->frame_left_bytes <= pump->config.max_frame_bytes && pump->message_bytes >= text_bytes &&
           pump->held_bytes <= text_bytes && pump->in_message == 1 && scan->state <= SCAN_SKIP &&
           scan->scanned <= text_bytes && scan->utf8.needed <= 3;
}

static int are_samples(const struct pump *pump)
{
    if (pump->sample_count > PUMP_SAMPLES_MAX || pump->newest.length > PUMP_ARRIVAL_BYTES)
        return 0;
    for (uint32_t at = 0; at < PUMP_SAMPLES_MAX; at++)
        if (pump->samples[at].length > PUMP_SAMPLE_BYTES)
            return 0;
    for (uint32_t at = 0; at < PUMP_ARRIVALS; at++)
        if (pump->arrivals[at].length > PUMP_ARRIVAL_BYTES || pump->arrivals[at].number >= pump->newest.number + PUMP_ARRIVALS)
            return 0;
    return 1;
}

/* A number of a pipe; of no pipe where there are none. */
static int is_number(const struct pump *pump, uint32_t number)
{
    return number < pump->config.pipes || number == 0;
}

/* What a stand-in has met: an event that is about bytes of the input. */
static int is_left_event(const struct pump *pump)
{
    const struct pump_detail *detail = &pump->detail;
    const uint64_t end = pump->input_offset + pump->input_capacity_bytes;
    switch (pump->left_event) {
    case 0:
    case PUMP_NOTICE:
    case PUMP_CONTROL:
    case PUMP_TLS_RECORD:
    case PUMP_EOF:
    case PUMP_STALLED:
    case PUMP_RESUMED:
    case PUMP_READER_GONE:
        break;
    case PUMP_MALFORMED:
        if (detail->error > PUMP_ERR_NOT_ARRAY || detail->error < PUMP_ERR_RECORD_TOO_BIG)
            return 0;
        break;
    default:
        if (pump->left_event > 0)
            return 0;
    }
    if (pump->left_event == PUMP_READER_GONE ? detail->pipe >= PUMP_READERS_MAX : !is_number(pump, detail->pipe))
        return 0;
    return pump->detail_offset <= end && detail->length <= end - pump->detail_offset &&
           (detail->length == 0 || pump->detail_offset >= pump->input_offset);
}

static int is_pump(const struct pump *pump)
{
    if (!is_left_event(pump))
        return 0;
    if (pump->draining || pump->source > PUMP_SOURCE_CALLER || !is_input(pump) || !are_samples(pump))
        return 0;
    if (!is_number(pump, pump->next_pipe) || !is_number(pump, pump->held_pipe) || !is_number(pump, pump->resumed_pipe) ||
        !is_number(pump, pump->counters.full_pipe) || pump->counters.stopped > 1)
        return 0;
    for (uint32_t number = 0; number < pump->config.pipes; number++)
        if (!adopt_is_pipe(pump, number))
            return 0;
    return 1;
}

/* An event that the last process was told of, and may not have come to. */
static void tell_again(struct pump *pump)
{
    const int event = pump->told_event;
    if (pump->left_event == 0 && (event == PUMP_NOTICE || event == PUMP_CONTROL || event == PUMP_TLS_RECORD))
        pump->left_event = event;
    pump->told_event = 0;
}

/* What its process has begun behind the last checkpoint, and not ended. Returns 0, or -1 where that can't be. */
static int finish(struct pump *pump)
{
    tell_again(pump);
    const int read = receive_left(pump);
    if (read == PUMP_TLS_RECORD)
        pump->left_event = read;
    for (uint32_t number = 0; spill_is_on(&pump->config) && number < pump->config.pipes; number++)
        spill_file_take_back(pump, number);
    return read < 0 ? -1 : in_flight_take(pump);
}

/* Returns 0, or -1. */
static int go_on(struct pump *pump)
{
    if (mapping_restore(pump) < 0 || move_finish(pump) < 0 || !is_pump(pump))
        return -1;
    pump->feed_fd = -1;
    pump->is_saved = 0;
    pump->drain_at = pump->undrained_count = 0;
    layout_init(pump, pump->config.vectors);
    outbox_adopt(pump);
    backlog_look_again(pump);
    return finish(pump);
}

struct pump *pump_adopt(int memory_fd, const struct pump_config *config)
{
    struct pump *pump = mapping_of(memory_fd, config);
    if (!pump)
        return NULL;
    errno = EINVAL;
    if (go_on(pump) < 0 || readers_adopt(pump) < 0) {
        const int error = errno;
        mapping_unmap(pump);
        errno = error;
        return NULL;
    }
    checkpoint_all(pump);
    return pump;
}

void pump_go_on(struct pump *pump, int fd)
{
    pump->feed_fd = fd;
    pump->last_read = READ_FULL; /* what has come meanwhile is read at once */
    pump->is_readable = pump->has_polled = 0;
}

int pump_memory_fd(const struct pump *pump)
{
    return pump->memory_fd;
}

void pump_describe(struct pump_description *description)
{
    *description = (struct pump_description){
        .version = PUMP_MAPPING_VERSION,
        .description = PUMP_MAPPING_DESCRIPTION,
        .pump_bytes = sizeof(struct pump),
        .pipe_bytes = sizeof(struct pump_pipe),
        .spill_bytes = sizeof(struct spill),
    };
}
