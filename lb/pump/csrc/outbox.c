#include "outbox.h"
#include "checkpoint.h"
#include "hear.h"
#include "mapping.h"
#include "move.h"
#include "retain.h"
#include "spill.h"

#include <errno.h>
#include <unistd.h>

enum {
    FLAT_FRAME_MAX_BYTES = PUMP_LENGTH_BYTES + FLAT_MAX_BYTES,
    RETAIN_STEP_BYTES = 256 * 1024, /* dealt between two looks at what was acknowledged: little, to stay in the cache */
    RETAIN_TOUCHED_BYTES = 8 * 1024 * 1024, /* of an outbox that retains: this memory is kept for good */
    RETAIN_FREE_PER_HELD = 3, /* it is moved when so many times what it holds is free before that */
    WRITE_BYTES = 1024 * 1024, /* offered at once: so much may be lost of a write that nobody comes back from (in_flight.c) */
    SPILL_STEP_BYTES = 1024 * 1024, /* of a spilled pipe: so much waits until it goes to the disk, at once */
    SPILL_LOADS_PER_FLUSH = 4       /* of one pipe: then the others have their turn */
};

/* An outbox that retains gets room by steps, for what was acknowledged meanwhile is to be used again; a record of
 * `bytes` that is longer than a step takes it. */
static uint64_t step_bytes(size_t bytes)
{
    return bytes > RETAIN_STEP_BYTES ? bytes : RETAIN_STEP_BYTES;
}

/* Up to where an outbox may be filled, where the next record has `bytes`. */
static void set_limit(const struct pump *pump, struct pump_pipe *pipe, size_t bytes)
{
    const uint64_t step_end = pipe->tail + step_bytes(bytes);
    const uint64_t mark_bytes = pump->config.high_water_bytes;
    const int is_lower = pipe->is_spilled && mark_bytes > SPILL_STEP_BYTES;
    uint64_t limit = pipe->kept + (is_lower ? SPILL_STEP_BYTES : mark_bytes);
    if (pump->draining)
        limit = pipe->begin + mapping_outbox_bytes(&pump->config);
    else if (pump->config.retains && limit > step_end)
        limit = step_end;
    pipe->limit = limit;
    pipe->flat_limit = limit < pipe->begin + FLAT_FRAME_MAX_BYTES ? 0 : limit - FLAT_FRAME_MAX_BYTES;
}

void outbox_init(struct pump *pump, uint32_t number)
{
    const uint64_t begin = pump->pipe[number].begin;
    pump->pipe[number] = (struct pump_pipe){
        .begin = begin,
        .marks_offset = pump->pipe[number].marks_offset,
        .kept = begin,
        .frame = begin,
        .head = begin,
        .tail = begin,
        .fd = -1,
        .channel_fd = -1,
    };
    set_limit(pump, &pump->pipe[number], 0);
}

void outbox_go_on(struct pump *pump, uint32_t number)
{
    struct pump_pipe *pipe = &pump->pipe[number];
    set_limit(pump, pipe, 0);
    if (pipe->is_spilled || pipe->head < pipe->tail)
        outbox_touch(pump, pipe);
}

void outbox_adopt(struct pump *pump)
{
    pump->touched_count = pump->full_count = pump->paused_count = 0;
    for (uint32_t number = 0; number < pump->config.pipes; number++) {
        struct pump_pipe *pipe = &pump->pipe[number];
        pipe->full = PIPE_NOT_FULL; /* what is full tells so again */
        pipe->touched = 0;
        pipe->fd = pipe->channel_fd = -1;
        pipe->first_mark = pipe->mark_count = 0;
        outbox_go_on(pump, number);
    }
}

void outbox_lift_limits(struct pump *pump)
{
    for (uint32_t number = 0; number < pump->config.pipes; number++)
        set_limit(pump, &pump->pipe[number], 0);
}

/* What a long record, or all that came at a drain, has touched past the high-water mark is given back: nothing else
 * gets there, and with many pipes it would come to gigabytes. So is what a pile of unacknowledged records has, once it
 * is much smaller. */
static void give_back(struct pump *pump, const struct pump_pipe *pipe, uint64_t touched_end)
{
    const uint64_t held_bytes = pipe->tail - pipe->begin;
    uint64_t own_bytes = pump->config.high_water_bytes;
    if (pump->config.retains && own_bytes > RETAIN_TOUCHED_BYTES)
        own_bytes = RETAIN_TOUCHED_BYTES > 4 * held_bytes ? RETAIN_TOUCHED_BYTES : 4 * held_bytes;
    const uint64_t begin = pipe->begin + (held_bytes > own_bytes ? held_bytes : own_bytes);
    if (touched_end > begin)
        mapping_give_back(pump, begin + DEAL_PAD_BYTES, touched_end + DEAL_PAD_BYTES);
}

static uint32_t number_of(const struct pump *pump, const struct pump_pipe *pipe)
{
    return (uint32_t)(pipe - pump->pipe);
}

/* Moves what may be wanted again to the outbox's begin, and with it the bound of what it may hold. */
static void move_to_begin(struct pump *pump, struct pump_pipe *pipe)
{
    const uint64_t touched_end = pipe->tail;
    const uint64_t free_bytes = pipe->kept - pipe->begin;
    move_plan(pump, pipe->begin, pipe->kept, pipe->tail - pipe->kept);
    pipe->kept -= free_bytes;
    pipe->frame -= free_bytes;
    pipe->head -= free_bytes;
    pipe->tail -= free_bytes;
    pipe->moved_bytes_total += free_bytes;
    if (pump->config.retains)
        set_limit(pump, pipe, 0);
    checkpoint_pipe(pump, number_of(pump, pipe));
    move_go(pump);
    give_back(pump, pipe, touched_end);
}

void outbox_settle(struct pump *pump, struct pump_pipe *pipe)
{
    if (pipe->head == pipe->tail) {
        pipe->written_total = pipe->dealt_total - pipe->spilled_total;
        pipe->frame = pipe->tail;
    }
    for (uint64_t end = pipe->frame; end < pipe->tail && (end += pump_framed_bytes(pump, end)) <= pipe->head;) {
        pipe->frame = end;
        pipe->written_total++;
    }
    if (pump->config.retains)
        retain_mark(pump, pipe);
    else
        pipe->kept = pipe->frame;
    if (pipe->kept == pipe->tail)
        move_to_begin(pump, pipe);
    else
        checkpoint_pipe(pump, number_of(pump, pipe));
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

/* Notes what is about to be written, for whoever adopts the pump if nobody comes back from there. */
static void begin_write(struct pump *pump, uint32_t number, uint64_t offset, size_t bytes)
{
    struct pump_write *write = &pump->write;
    checkpoint_before_call(pump);
    *write = (struct pump_write){.offset = offset, .bytes = bytes, .pipe = number};
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    write->generation = pump->generation;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void end_write(struct pump *pump, size_t taken)
{
    pump->write.bytes = taken;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    pump->write.is_known = 1;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* Returns how many of these bytes were taken; 0 where none are taken now, or -1 with errno. */
static ssize_t write_some(struct pump *pump, struct pump_pipe *pipe, uint64_t offset, size_t bytes)
{
    while (!pipe->full && pipe->fd >= 0) {
        begin_write(pump, number_of(pump, pipe), offset, bytes);
        const ssize_t written = write(pipe->fd, pump_at(pump, offset), bytes);
        end_write(pump, written > 0 ? (size_t)written : 0);
        if (written >= 0) {
            pipe->written_bytes_total += (uint64_t)written;
            return written;
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

/* Writes until nothing waits or no more is taken. Returns 0, or -1 with errno. */
static int write_out(struct pump *pump, struct pump_pipe *pipe)
{
    ssize_t taken = 1;
    while (taken > 0 && pipe->head < pipe->tail) {
        const uint64_t due_bytes = pipe->tail - pipe->head;
        taken = write_some(pump, pipe, pipe->head, due_bytes < WRITE_BYTES ? due_bytes : WRITE_BYTES);
        if (taken > 0) {
            pipe->head += (size_t)taken;
            outbox_settle(pump, pipe);
        }
    }
    return taken < 0 ? -1 : 0;
}

/* Reads back what is spilled, and writes it, until it is the others' turn. Returns as write_out(). */
static int write_back(struct pump *pump, uint32_t number)
{
    struct pump_pipe *pipe = &pump->pipe[number];
    const struct spill *spill = spill_of(pump, number);
    for (int loads = 0; pipe->is_spilled && !pipe->full && pipe->fd >= 0;) {
        const size_t due_bytes = spill_due_bytes(pump, number);
        if (due_bytes) {
            const ssize_t taken = write_some(pump, pipe, spill->frame + spill->begun_bytes, due_bytes);
            if (taken <= 0)
                return (int)taken;
            spill_written(pump, number, (size_t)taken);
            checkpoint_pipe(pump, number);
        } else if (pump->draining) {
            return 0;
        } else if (loads++ == SPILL_LOADS_PER_FLUSH) {
            outbox_touch(pump, pipe);
            return 0;
        } else {
            const int rc = spill_load(pump, number);
            if (rc < 0)
                pause_pipe(pump, pipe);
            else if (rc == 0)
                set_limit(pump, pipe, 0);
            checkpoint_pipe(pump, number);
        }
    }
    return 0;
}

static int flush(struct pump *pump, uint32_t number)
{
    struct pump_pipe *pipe = &pump->pipe[number];
    int rc = 0;
    if (__builtin_expect(pipe->is_spilled, 0))
        rc = write_back(pump, number);
    if (rc == 0 && !pipe->is_spilled)
        rc = write_out(pump, pipe);
    return rc < 0 ? failed(pump, number) : 0;
}

/* Puts what waits onto the disk, as far as that takes it. */
static void keep_on_disk(struct pump *pump, uint32_t number)
{
    struct pump_pipe *pipe = &pump->pipe[number];
    if (pipe->head == pipe->tail)
        return;
    spill_outbox(pump, number);
    outbox_settle(pump, pipe);
    if (pipe->kept > pipe->begin)
        move_to_begin(pump, pipe);
    set_limit(pump, pipe, 0);
}

void outbox_begin_spilled(struct pump *pump, uint32_t number)
{
    struct pump_pipe *pipe = &pump->pipe[number];
    pipe->is_spilled = 1;
    set_limit(pump, pipe, 0);
    outbox_touch(pump, pipe); /* so the next checkpoint saves it */
}

uint64_t outbox_begun_bytes(const struct pump *pump, uint32_t number)
{
    const struct pump_pipe *pipe = &pump->pipe[number];
    return pipe->is_spilled ? spill_of(pump, number)->begun_bytes : pipe->head - pipe->frame;
}

void outbox_rewind(struct pump *pump, uint32_t number)
{
    struct pump_pipe *pipe = &pump->pipe[number];
    if (pipe->is_spilled)
        spill_of(pump, number)->begun_bytes = 0;
    else
        pipe->head = pipe->frame;
    checkpoint_pipe(pump, number);
}

int outbox_is_drained(struct pump *pump, uint32_t number)
{
    const struct pump_pipe *pipe = &pump->pipe[number];
    if (pipe->is_spilled)
        keep_on_disk(pump, number);
    return pipe->head == pipe->tail && (!pipe->is_spilled || spill_of(pump, number)->begun_bytes == 0);
}

int outbox_flush_full(struct pump *pump, uint32_t number)
{
    set_full(pump, &pump->pipe[number], PIPE_NOT_FULL);
    return flush(pump, number);
}

int outbox_flush_touched(struct pump *pump)
{
    const uint32_t count = pump->touched_count;
    const uint32_t *touched = pump_touched(pump);
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
    struct pump_pipe *pipe = &pump->pipe[number];
    set_full(pump, pipe, PIPE_NOT_FULL);
    pipe->fd = -1;
    if (pipe->policy == PUMP_POLICY_SPILL) {
        pump->spill_retry_ns = 0; /* now or never */
        keep_on_disk(pump, number);
    }
    if (pipe->is_spilled)
        spill_note_done(pump, number);
}

/* Drops the oldest records that were not begun to be written: half of what an outbox holds, or as much as `bytes`
 * want. By the half, because the rest must be moved; and few long gaps serve a reader better than many short ones. */
static void drop_oldest(struct pump *pump, struct pump_pipe *pipe, size_t bytes)
{
    const uint64_t half = (pipe->limit - pipe->begin) / 2;
    const uint64_t begin = pipe->head > pipe->frame ? pipe->frame + pump_framed_bytes(pump, pipe->frame) : pipe->frame;
    uint64_t end = begin;
    for (const uint64_t wanted = half > bytes ? half : bytes; end < pipe->tail && end - begin < wanted;) {
        const size_t framed = pump_framed_bytes(pump, end);
        end += framed;
        pipe->dealt_total--;
        pipe->dropped_total++;
        pipe->dropped_bytes_total += framed - PUMP_LENGTH_BYTES;
    }
    move_plan(pump, begin, end, pipe->tail - end);
    pipe->tail -= end - begin;
    checkpoint_pipe(pump, number_of(pump, pipe));
    move_go(pump);
}

/* Only when half is free: moving more bytes than were freed would cost more with every page that the reader takes.
 * One that retains holds megabytes at full speed, and never becomes empty: as long as there is room behind it, it waits
 * until more is free. */
static int should_move(const struct pump *pump, const struct pump_pipe *pipe, size_t bytes)
{
    const uint64_t free_bytes = pipe->kept - pipe->begin, held_bytes = pipe->tail - pipe->kept;
    if (free_bytes < held_bytes || !pump->config.retains)
        return free_bytes >= held_bytes;
    return free_bytes >= RETAIN_FREE_PER_HELD * held_bytes ||
           pipe->tail + step_bytes(bytes) > pipe->begin + mapping_waiting_bytes(&pump->config);
}

int outbox_make_room(struct pump *pump, uint32_t number, size_t bytes)
{
    struct pump_pipe *pipe = &pump->pipe[number];
    const int rc = flush(pump, number);
    if (rc < 0)
        return rc;
    if (pipe->channel_fd >= 0) {
        pipe->acknowledged_total = hear_acknowledged(pipe);
        retain_no_more(pump, pipe);
    }
    if (pump->config.retains && pipe->tail + bytes > pipe->kept + pump->config.high_water_bytes)
        retain_exactly(pump, pipe);
    if (should_move(pump, pipe, bytes))
        move_to_begin(pump, pipe);
    if (pump->config.retains)
        set_limit(pump, pipe, bytes);
    if (pipe->policy == PUMP_POLICY_SPILL && !outbox_has_room(pipe, bytes))
        keep_on_disk(pump, number);
    if (pipe->policy == PUMP_POLICY_DROP_OLDEST && !outbox_has_room(pipe, bytes)) {
        drop_oldest(pump, pipe, bytes);
        move_to_begin(pump, pipe);
    }
    return outbox_has_room(pipe, bytes);
}

void pump_pipe_counters(const struct pump *pump, uint32_t number, struct pump_pipe_counters *counters)
{
    const struct pump_pipe *pipe = &pump->pipe[number];
    const struct spill none = {0};
    const struct spill *spill = spill_is_on(&pump->config) ? spill_of(pump, number) : &none;
    *counters = (struct pump_pipe_counters){
        .records_total = pipe->dealt_total + pipe->dropped_total,
        .written_total = pipe->written_total + spill->written_total,
        .written_bytes_total = pipe->written_bytes_total,
        .waiting_records = pipe->dealt_total - pipe->spilled_total - pipe->written_total,
        .waiting_bytes = pipe->tail - pipe->head,
        .dropped_total = pipe->dropped_total + spill->damaged_total,
        .dropped_bytes_total = pipe->dropped_bytes_total,
        .stopped_ns_total = pipe->stopped_ns_total,
        .acknowledged_total = pipe->acknowledged_total,
        .unacknowledged_records = pump->config.retains ? pipe->written_total - pipe->acknowledged_total : 0,
        .unacknowledged_bytes = pipe->frame - retain_exact(pump, pipe),
        .redelivered_total = pipe->redelivered_total,
        .spilled_total = pipe->spilled_total,
        .spilled_records = spill->records,
        .spilled_bytes = spill->bytes - spill->begun_bytes,
        .recovered_total = spill->recovered_total,
        .damaged_total = spill->damaged_total,
    };
    if (pump->counters.stopped && pump->counters.full_pipe == number)
        counters->stopped_ns_total += now_ns() - pump->stopped_since_ns;
}

uint64_t pump_count_waiting(const struct pump *pump, uint32_t number)
{
    const struct pump_pipe *pipe = &pump->pipe[number];
    uint64_t records = 0;
    for (uint64_t frame = pipe->frame; frame < pipe->tail; frame += pump_framed_bytes(pump, frame))
        records++;
    return records;
}
