/* The loop. One round of pump_run() is: deal what was received; write it, or hold it; tell what there is to tell;
 * then read or wait.
 *
 *   what the last read told     what else is so                               next
 *   any                         a full pipe stops the reading                 wait, without the feed
 *   any                         pipes are full, no poll() since the read      wait; where that may hide input: a glance
 *   any                         poll() has said readable                      read
 *   READ_FULL                                                                 read, and hold what was dealt meanwhile
 *   READ_SHORT                  much was dealt, to many pipes little each     read once more, and hold
 *   READ_SHORT                  poll() may hide input (kernel TLS)            read
 *   READ_SHORT                                                                wait
 *   READ_PART                                                                 wait 1 ms without the feed
 *   READ_NOTHING                                                              wait
 *
 * A source that the caller reads is only waited for. An ended session's rest is dealt as pipes have room, and its
 * end is told (PUMP_BUDGET). */
#include "arrivals.h"
#include "backlog.h"
#include "checkpoint.h"
#include "drain.h"
#include "input.h"
#include "mapping.h"
#include "outbox.h"
#include "readers.h"
#include "receive.h"
#include "spill_state.h"
#include "stop.h"
#include "wait.h"
#include "ws_frame.h"

#include <assert.h>
#include <errno.h>

enum {
    BATCH_BYTES = 1024 * 1024, /* written at once while every read is full: each write may have to wake its reader */
    HOLD_PIPES = 32,           /* so many outboxes are worth one more look at the socket before they are written */
    HOLD_BYTES = 8 * 1024,     /* per outbox, on average: what is worth a system call however much more is there */
    ROUNDS_PER_RUN = 256,      /* the work budget: without a poll(), which sees the wake-up fd, or past the deadline */
    PUT_OFF_READS = 16         /* before a wake-up is obeyed that is most likely an acknowledgement */
};

struct pump *pump_new(const struct pump_config *config)
{
    struct pump *pump = mapping_new(config);
    if (!pump)
        return NULL;
    pump->feed_fd = -1;
    layout_init(pump, config->vectors);
    for (uint32_t number = 0; number < config->pipes; number++)
        outbox_init(pump, number);
    checkpoint_all(pump);
    return pump;
}

void pump_free(struct pump *pump)
{
    readers_unmap(pump);
    mapping_free(pump);
}

void pump_set_pipe(struct pump *pump, uint32_t number, int fd)
{
    pump->pipe[number].fd = fd;
}

void pump_set_policy(struct pump *pump, uint32_t number, enum pump_policy policy)
{
    assert(policy != PUMP_POLICY_SPILL || (spill_is_on(&pump->config) && !pump->config.retains));
    pump->pipe[number].policy = (uint8_t)policy;
}

void pump_attach(struct pump *pump, enum pump_source source, int fd)
{
    input_reset(pump);
    arrivals_begin(pump);
    pump->source = source;
    pump->sessions_total++;
    pump->feed_fd = fd;
    pump->last_read = READ_FULL; /* what the session's begin has brought is read at once */
    pump->is_readable = pump->has_polled = 0;
    pump->counters.last_input_ns = now_ns();
}

void pump_detach(struct pump *pump)
{
    pump->source = PUMP_SOURCE_NONE;
    pump->feed_fd = -1;
    if (!pump->has_work)
        input_reset(pump);
}

enum pump_source pump_source(const struct pump *pump)
{
    return (enum pump_source)pump->source;
}

uint64_t pump_sessions_total(const struct pump *pump)
{
    return pump->sessions_total;
}

int pump_has_input(const struct pump *pump)
{
    return pump->has_work;
}

void pump_detail(const struct pump *pump, struct pump_detail *detail)
{
    *detail = pump->detail;
    detail->bytes = pump_at(pump, pump->detail_offset);
}

void pump_counters(const struct pump *pump, struct pump_counters *counters)
{
    *counters = pump->counters;
}

/* Parses and deals all that was received. Returns 0, an event or an error; counters.stopped tells of a full pipe. */
static int work(struct pump *pump)
{
    backlog_end_portion(pump);
    pump->is_saved = 0;
    const int rc = input_parse(pump);
    const int ends_session = (rc < 0 && rc != PUMP_ERR_PIPE) || (rc == PUMP_CONTROL && pump->detail.opcode == WS_CLOSE);
    pump->has_work = rc != 0 && !ends_session; /* what follows a close frame is discarded (RFC 6455 section 1.4) */
    stop_note(pump, rc == DEAL_FULL);
    if (!pump->has_work && pump->source == PUMP_SOURCE_NONE)
        input_reset(pump);
    return rc == DEAL_FULL ? 0 : rc;
}

static uint64_t staged_bytes_total(const struct pump *pump)
{
    return pump->counters.record_bytes_total + PUMP_LENGTH_BYTES * pump->counters.records_total;
}

/* Writes what was dealt. Returns rc, or where that is 0, the error of a pipe: otherwise it is told by the next call. */
static int flush(struct pump *pump, int rc)
{
    const int error = errno; /* of the read that rc is about */
    arrivals_note(pump);
    if (rc > 0)
        pump->told_event = rc;
    if (pump->touched_count || rc > 0)
        checkpoint_before_call(pump);
    const int flushed = outbox_flush_touched(pump);
    pump->flushed_bytes_total = staged_bytes_total(pump);
    if (pump->readers)
        readers_flush(pump->readers, pump->counters.last_input_ns);
    if (flushed < 0 && rc == 0)
        return flushed;
    errno = error;
    return rc;
}

/* Whether a read may come next, and may find something. */
static int can_read(const struct pump *pump)
{
    const int reads_itself = pump->source == PUMP_SOURCE_SOCKET || pump->source == PUMP_SOURCE_KTLS;
    return reads_itself && !pump->counters.stopped && (!pump->full_count || pump->has_polled) &&
           (pump->is_readable || pump->last_read >= READ_SHORT);
}

/* Whether to read on before anything is written: more is there, or may be and many pipes would get little each. */
static int should_hold(const struct pump *pump)
{
    const uint64_t for_readers_bytes = pump->readers ? pump->readers->staged_bytes : 0;
    const uint64_t held_bytes = staged_bytes_total(pump) - pump->flushed_bytes_total + for_readers_bytes;
    if (pump->last_read == READ_FULL && held_bytes < BATCH_BYTES)
        return 1;
    return pump->touched_count >= HOLD_PIPES && held_bytes < (uint64_t)pump->touched_count * HOLD_BYTES;
}

/* Whether to read without a poll(). */
static int should_read(const struct pump *pump)
{
    return can_read(pump) && (pump->is_readable || pump->last_read == READ_FULL || wait_hides_input(pump));
}

/* What is to be told besides what the input tells. */
static int other_event(struct pump *pump)
{
    int rc = stop_event(pump);
    if (rc == 0)
        rc = readers_event(pump);
    return rc == 0 && pump->draining && !pump->has_work ? drain_event(pump) : rc;
}

/* Whether a wake-up may wait. Where acknowledgements are waited for, it is most likely one, and the caller's turn costs
 * more than the next reads: as long as there is something to read, many are taken in one turn. */
static int can_put_off(const struct pump *pump, int rc, int reads)
{
    return rc == PUMP_WAKE && pump->config.retains && pump->is_readable && reads < PUT_OFF_READS;
}

/* What a stand-in has met. */
static int take_left_event(struct pump *pump)
{
    const int rc = pump->left_event;
    errno = pump->left_errno;
    pump->left_event = 0;
    return rc;
}

static int run(struct pump *pump, int64_t deadline_ns)
{
    int rounds = 0; /* since the last poll() before the deadline */
    int reads_total = 0;
    while (rounds < ROUNDS_PER_RUN) {
        const int is_rest = pump->source == PUMP_SOURCE_NONE && pump->has_work;
        int rc = work(pump);
        const int holds = rc == 0 && can_read(pump) && should_hold(pump);
        if (!holds)
            rc = flush(pump, rc);
        if (rc == 0)
            rc = other_event(pump);
        if (rc == 0 && is_rest && !pump->has_work)
            rc = PUMP_BUDGET; /* pump_has_input() is over: the caller may be waiting for that */
        if (rc != 0)
            return rc;
        const int reads = holds || should_read(pump);
        rounds = reads || now_ns() >= deadline_ns ? rounds + 1 : 0; /* pipes that always have room must not hide it */
        rc = reads ? receive(pump) : wait_for_work(pump, deadline_ns);
        reads_total += reads;
        if (can_put_off(pump, rc, reads_total))
            rc = 0;
        if (rc == 0 && reads && pump->counters.last_input_ns >= deadline_ns)
            rc = PUMP_DEADLINE;
        if (rc != 0)
            return flush(pump, rc);
    }
    return flush(pump, PUMP_BUDGET);
}

int pump_run(struct pump *pump, int64_t deadline_ns)
{
    pump->told_event = 0;
    if (pump->left_event)
        return take_left_event(pump);
    checkpoint(pump);
    const int rc = run(pump, deadline_ns);
    const int error = errno;
    checkpoint(pump);
    errno = error;
    return rc;
}
