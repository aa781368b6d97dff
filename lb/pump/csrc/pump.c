#include "pump.h"

#include <errno.h>
#include <linux/tls.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

enum {
    TLS_APPLICATION_DATA = 23,        /* RFC 8446 B.1 */
    INPUT_SLACK_BYTES = 1024 * 1024,  /* a long record is moved to the front once per this many bytes, not once per read */
    SMALL_REST_BYTES = 4096,          /* a rest up to this size is moved to the front at once: the input stays in the cache */
    ALIGN_BYTES = 4096,
    PART_PAUSE_MS = 1
};

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Reserves the next part of the mapping and returns its offset. */
static uint64_t reserve(uint64_t *mapped_bytes, uint64_t part_bytes)
{
    const uint64_t offset = *mapped_bytes;
    *mapped_bytes += (part_bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    return offset;
}

struct pump *pump_new(const struct pump_config *config)
{
    uint64_t mapped_bytes = 0;
    const size_t input_bytes = config->max_frame_bytes + 2 * PUMP_ROOM_BYTES + INPUT_SLACK_BYTES;
    const uint64_t outbox_bytes = config->high_water_bytes + PUMP_LENGTH_BYTES + config->max_frame_bytes + DEAL_PAD_BYTES;
    reserve(&mapped_bytes, sizeof(struct pump) + config->pipes * sizeof(struct pump_pipe));
    const uint64_t touched_offset = reserve(&mapped_bytes, config->pipes * sizeof(uint32_t));
    const uint64_t polled_offset = reserve(&mapped_bytes, (config->pipes + 2) * sizeof(struct pollfd));
    const uint64_t input_offset = reserve(&mapped_bytes, input_bytes + DEAL_PAD_BYTES);
    const uint64_t outboxes_offset = mapped_bytes;
    for (uint32_t number = 0; number < config->pipes; number++)
        reserve(&mapped_bytes, outbox_bytes);

    /* Most of it is never touched: an outbox has room for the longest record, and no page of it before one comes. */
    struct pump *pump =
        mmap(NULL, mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pump == MAP_FAILED)
        return NULL;
    pump->mapped_bytes = mapped_bytes;
    pump->config = *config;
    pump->touched_offset = touched_offset;
    pump->polled_offset = polled_offset;
    pump->input_offset = input_offset;
    pump->input_capacity_bytes = input_bytes;
    pump->feed_fd = -1;
    deal_init(pump, config->vectors);
    uint64_t outbox_offset = outboxes_offset;
    for (uint32_t number = 0; number < config->pipes; number++)
        outbox_init(pump, number, reserve(&outbox_offset, outbox_bytes));
    return pump;
}

void pump_free(struct pump *pump)
{
    munmap(pump, pump->mapped_bytes);
}

void pump_set_pipe(struct pump *pump, uint32_t number, int fd)
{
    pump->pipe[number].fd = fd;
}

void pump_attach(struct pump *pump, enum pump_source source, int fd)
{
    input_reset(pump);
    pump->source = source;
    pump->feed_fd = fd;
    pump->arrived = PUMP_ARRIVED_MUCH;
    pump->counters.last_input_ns = now_ns();
}

void pump_detach(struct pump *pump)
{
    pump->source = PUMP_SOURCE_NONE;
    pump->feed_fd = -1;
    if (!pump->has_work)
        input_reset(pump);
}

int pump_has_input(const struct pump *pump)
{
    return pump->has_work;
}

void pump_drain(struct pump *pump)
{
    pump->source = PUMP_SOURCE_NONE;
    pump->feed_fd = -1;
    pump->draining = 1;
}

uint8_t *pump_room(struct pump *pump, size_t *room_bytes)
{
    const size_t text_bytes = pump->text_end - pump->text_begin;
    const size_t raw_bytes = pump->raw_end - pump->raw_begin;
    if (text_bytes + raw_bytes <= SMALL_REST_BYTES || pump->input_capacity_bytes - pump->raw_end < PUMP_ROOM_BYTES) {
        /* without the gap: a flood of pings inside a fragmented message would make it outgrow the input */
        uint8_t *input = pump_at(pump, pump->input_offset);
        memmove(input, input + pump->text_begin, text_bytes);
        memmove(input + text_bytes, input + pump->raw_begin, raw_bytes);
        pump->text_begin = 0;
        pump->text_end = pump->raw_begin = text_bytes;
        pump->raw_end = text_bytes + raw_bytes;
    }
    *room_bytes = pump->input_capacity_bytes - pump->raw_end;
    return pump_at(pump, pump->input_offset + pump->raw_end);
}

void pump_fed(struct pump *pump, size_t bytes)
{
    pump->raw_end += bytes;
    pump->has_work = 1;
    pump->counters.reads_total++;
    pump->counters.received_bytes_total += bytes;
    pump->counters.last_input_ns = now_ns();
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

/* One recvmsg with room for a record type. A record that is no application data becomes PUMP_TLS_RECORD; 0 with *got otherwise. */
static int receive_ktls(struct pump *pump, uint8_t *room, ssize_t *got)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(uint8_t))];
    } control;
    struct iovec iov = {.iov_base = room, .iov_len = PUMP_READ_BYTES};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    *got = recvmsg(pump->feed_fd, &message, MSG_DONTWAIT);
    const struct cmsghdr *header = *got >= 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (!header || header->cmsg_level != SOL_TLS || header->cmsg_type != TLS_GET_RECORD_TYPE)
        return 0;
    const uint8_t type = *CMSG_DATA(header);
    pump->arrived = PUMP_ARRIVED_SOME;
    if (type == TLS_APPLICATION_DATA) {
        if (*got == 0) { /* an empty record: the stream's end would have no type */
            *got = -1;
            errno = EINTR;
        }
        return 0;
    }
    pump->detail_offset = (uint64_t)(room - pump_at(pump, 0));
    pump->detail.length = (size_t)*got;
    pump->detail.opcode = type;
    pump->detail.end = (message.msg_flags & MSG_EOR) != 0;
    pump->counters.last_input_ns = now_ns();
    return PUMP_TLS_RECORD;
}

static uint8_t arrived_with(const struct pump *pump, ssize_t got)
{
    if (got < 0 && errno != EINTR)
        return pump->arrived == PUMP_ARRIVED_POLLED ? PUMP_ARRIVED_PART : PUMP_ARRIVED_ALL;
    if (pump->full_count) /* full pipes are looked at between two reads */
        return pump->source == PUMP_SOURCE_KTLS ? PUMP_ARRIVED_HIDDEN : PUMP_ARRIVED_ALL;
    return got == PUMP_READ_BYTES ? PUMP_ARRIVED_MUCH : PUMP_ARRIVED_SOME;
}

/* Reads once. Returns 0, PUMP_EOF, PUMP_TLS_RECORD, or PUMP_ERR_RECV. */
static int receive(struct pump *pump)
{
    size_t room_bytes;
    ssize_t got;
    uint8_t *room = pump_room(pump, &room_bytes);
    if (pump->source == PUMP_SOURCE_KTLS) {
        const int rc = receive_ktls(pump, room, &got);
        if (rc != 0)
            return rc;
    } else {
        got = recv(pump->feed_fd, room, PUMP_READ_BYTES, MSG_DONTWAIT);
    }
    if (got > 0)
        pump_fed(pump, (size_t)got);
    else if (got == 0)
        return PUMP_EOF;
    else if (errno != EAGAIN && errno != EINTR)
        return PUMP_ERR_RECV;
    pump->arrived = arrived_with(pump, got);
    return 0;
}

static int poll_timeout_ms(int64_t deadline_ns)
{
    const int64_t left_ns = deadline_ns - now_ns();
    if (left_ns <= 0)
        return 0;
    /* rounded up: a deadline is never missed by being early and polling again and again */
    return left_ns >= (int64_t)INT32_MAX * 1000000 ? INT32_MAX : (int)((left_ns + 999999) / 1000000);
}

/* Lists what is waited for; returns how many. [0] is the wake-up fd, [1] the feed (-1, ignored by poll, when it is not read now). */
static nfds_t list_polled(const struct pump *pump, struct pollfd *polled)
{
    nfds_t count = 2;
    polled[0] = (struct pollfd){.fd = pump->config.wake_fd, .events = POLLIN};
    const int is_feed_polled = !pump->counters.stopped && pump->arrived != PUMP_ARRIVED_PART;
    polled[1] = (struct pollfd){.fd = is_feed_polled ? pump->feed_fd : -1, .events = POLLIN};
    for (uint32_t number = 0; count - 2 < pump->full_count; number++)
        if (pump->pipe[number].full)
            polled[count++] = (struct pollfd){.fd = pump->pipe[number].fd, .events = POLLOUT};
    return count;
}

/* Writes to the pipes that have room again. `polled` lists the full pipes in their order. */
static int flush_writable(struct pump *pump, const struct pollfd *polled)
{
    const struct pollfd *next = polled;
    for (uint32_t number = 0, left = pump->full_count; left; number++) {
        if (!pump->pipe[number].full)
            continue;
        left--;
        if (!(next++)->revents)
            continue;
        pump->pipe[number].full = 0;
        pump->full_count--;
        const int rc = outbox_flush(pump, number);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Returns 0 when there may be work, or PUMP_WAKE, PUMP_READABLE, PUMP_DEADLINE, or an error. */
static int wait_for_work(struct pump *pump, int64_t deadline_ns)
{
    struct pollfd *polled = (struct pollfd *)(void *)pump_at(pump, pump->polled_offset);
    const nfds_t count = list_polled(pump, polled);
    const int timeout_ms = poll_timeout_ms(deadline_ns);
    const int is_pause = pump->arrived == PUMP_ARRIVED_PART && timeout_ms > PART_PAUSE_MS;
    const int is_glance = pump->arrived == PUMP_ARRIVED_HIDDEN && !pump->counters.stopped;
    const int ready = poll(polled, count, is_glance ? 0 : is_pause ? PART_PAUSE_MS : timeout_ms);
    if (ready < 0)
        return errno == EINTR ? (int)PUMP_WAKE : (int)PUMP_ERR_POLL;
    const int rc = flush_writable(pump, polled + 2);
    if (rc < 0)
        return rc;
    if (polled[0].revents)
        return PUMP_WAKE;
    if (pump->arrived == PUMP_ARRIVED_PART)
        pump->arrived = PUMP_ARRIVED_ALL;
    if (is_glance)
        pump->arrived = PUMP_ARRIVED_SOME;
    if (polled[1].revents) {
        pump->arrived = PUMP_ARRIVED_POLLED;
        return pump->source == PUMP_SOURCE_CALLER ? PUMP_READABLE : 0;
    }
    return ready == 0 && !is_pause && !is_glance ? PUMP_DEADLINE : 0;
}

/* Parses and deals all that was received. Returns 0, an event or an error; counters.stopped tells of a full pipe. */
static int work(struct pump *pump)
{
    const int rc = input_parse(pump);
    const int ends_session = rc < 0 || (rc == PUMP_CONTROL && pump->detail.opcode == WS_CLOSE);
    pump->has_work = rc != 0 && !ends_session; /* what follows a close frame is discarded (RFC 6455 section 1.4) */
    const uint32_t stopped = rc == DEAL_FULL;
    if (stopped && !pump->counters.stopped)
        pump->counters.full_total++;
    if (!stopped && pump->counters.stopped)
        pump->counters.last_input_ns = now_ns(); /* the silence was ours */
    pump->counters.stopped = stopped;
    if (!pump->has_work && pump->source == PUMP_SOURCE_NONE)
        input_reset(pump);
    return stopped ? 0 : rc;
}

static uint64_t staged_bytes_total(const struct pump *pump)
{
    return pump->counters.record_bytes_total + PUMP_LENGTH_BYTES * pump->counters.records_total;
}

/* Writes what was dealt. Returns rc, or the error of a pipe. */
static int flush(struct pump *pump, int rc)
{
    const int error = errno; /* of the read that rc is about */
    const int flushed = outbox_flush_touched(pump);
    pump->flushed_bytes_total = staged_bytes_total(pump);
    if (flushed < 0)
        return flushed;
    errno = error;
    return rc;
}

/* Whether to read on before anything is written: more is there, or may be and many pipes would get little each. */
static int should_hold(const struct pump *pump)
{
    const uint64_t held_bytes = staged_bytes_total(pump) - pump->flushed_bytes_total;
    if (pump->arrived == PUMP_ARRIVED_MUCH && held_bytes < PUMP_BATCH_BYTES)
        return 1;
    return pump->touched_count >= PUMP_HOLD_PIPES && held_bytes < (uint64_t)pump->touched_count * PUMP_HOLD_BYTES;
}

static int can_read(const struct pump *pump)
{
    const int reads_itself = pump->source == PUMP_SOURCE_SOCKET || pump->source == PUMP_SOURCE_KTLS;
    return reads_itself && !pump->counters.stopped && pump->arrived >= PUMP_ARRIVED_SOME;
}

static int nothing_waits(const struct pump *pump)
{
    if (pump->counters.stopped)
        return 0;
    for (uint32_t number = 0; number < pump->config.pipes; number++)
        if (pump->pipe[number].head < pump->pipe[number].tail)
            return 0;
    return 1;
}

/* Whether to read again without a poll(). The kernel's TLS may keep a record that poll() does not show: a key update that was found
 * behind data. Only a read that finds nothing tells. */
static int should_read_on(const struct pump *pump)
{
    return can_read(pump) && (pump->arrived > PUMP_ARRIVED_SOME || pump->source == PUMP_SOURCE_KTLS);
}

int pump_run(struct pump *pump, int64_t deadline_ns)
{
    int rounds = 0; /* since the last poll() before the deadline */
    while (rounds < PUMP_ROUNDS_PER_RUN) {
        const int has_rest = pump->source == PUMP_SOURCE_NONE && pump->has_work;
        int rc = work(pump);
        const int holds = rc == 0 && can_read(pump) && should_hold(pump);
        if (!holds)
            rc = flush(pump, rc);
        if (rc != 0)
            return rc;
        if (pump->draining && nothing_waits(pump))
            return PUMP_DRAINED;
        if (has_rest && !pump->has_work)
            return PUMP_BUDGET; /* pump_has_input() is over: the caller may be waiting for that */
        const int reads_on = holds || should_read_on(pump);
        rounds = reads_on || now_ns() >= deadline_ns ? rounds + 1 : 0; /* pipes that always have room must not hide the deadline */
        rc = reads_on ? receive(pump) : wait_for_work(pump, deadline_ns);
        if (rc == 0 && reads_on && pump->counters.last_input_ns >= deadline_ns)
            rc = PUMP_DEADLINE;
        if (rc != 0)
            return flush(pump, rc);
    }
    return flush(pump, PUMP_BUDGET);
}
