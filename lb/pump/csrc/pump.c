#include "pump.h"

#include <errno.h>
#include <linux/tls.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TLS_APPLICATION_DATA = 23,        /* RFC 8446 B.1 */
    INPUT_SLACK_BYTES = 1024 * 1024,  /* a long record is moved to the front once per this many bytes, not once per read */
    INPUT_KEPT_BYTES = 2 * PUMP_ROOM_BYTES + INPUT_SLACK_BYTES, /* its memory is kept for good */
    SMALL_REST_BYTES = 4096,          /* a rest up to this size is moved to the front at once: the input stays in the cache */
    PART_PAUSE_MS = 1
};

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

static uint64_t whole_pages(uint64_t bytes)
{
    const uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    return (bytes + page_bytes - 1) / page_bytes * page_bytes;
}

/* Reserves the next part of the mapping and returns its offset. */
static uint64_t reserve(uint64_t *mapped_bytes, uint64_t part_bytes)
{
    const uint64_t offset = *mapped_bytes;
    *mapped_bytes += whole_pages(part_bytes);
    return offset;
}

void pump_give_back(struct pump *pump, uint64_t begin, uint64_t end)
{
    const int error = errno;
    begin = whole_pages(begin);
    end = whole_pages(end); /* no part shares its last page with another */
    if (begin < end)
        madvise(pump_at(pump, begin), end - begin, MADV_DONTNEED);
    errno = error;
}

struct pump *pump_new(const struct pump_config *config)
{
    uint64_t mapped_bytes = 0;
    const size_t input_bytes = config->max_frame_bytes + INPUT_KEPT_BYTES;
    const uint64_t outbox_bytes = outbox_room_bytes(config, input_bytes) + DEAL_PAD_BYTES;
    reserve(&mapped_bytes, sizeof(struct pump) + config->pipes * sizeof(struct pump_pipe));
    const uint64_t touched_offset = reserve(&mapped_bytes, config->pipes * sizeof(uint32_t));
    const uint64_t polled_offset = reserve(&mapped_bytes, (config->pipes + 2) * sizeof(struct pollfd));
    const uint64_t input_offset = reserve(&mapped_bytes, input_bytes + DEAL_PAD_BYTES);
    const uint64_t outboxes_offset = mapped_bytes;
    for (uint32_t number = 0; number < config->pipes; number++)
        reserve(&mapped_bytes, outbox_bytes);

    /* Most of it is never touched, and so has no memory: an outbox could hold the longest record, or all that comes at a drain. */
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

void pump_set_policy(struct pump *pump, uint32_t number, enum pump_policy policy)
{
    pump->pipe[number].policy = (uint8_t)policy;
}

static void set_done(struct pump *pump, struct pump_pipe *pipe)
{
    if (pump->draining && !pipe->is_done)
        pump->undrained_count--;
    pipe->is_done = 1;
}

void pump_close_pipe(struct pump *pump, uint32_t number)
{
    struct pump_pipe *pipe = &pump->pipe[number];
    set_done(pump, pipe);
    outbox_close(pump, number);
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
    if (pump->draining)
        return;
    pump->draining = 1;
    outbox_lift_limits(pump);
    for (uint32_t number = 0; number < pump->config.pipes; number++)
        pump->undrained_count += !pump->pipe[number].is_done;
}

/* Books how far the input is touched; once what is kept of it is short, gives back what a long record has touched. */
static void give_back_input(struct pump *pump, size_t rest_bytes)
{
    if (pump->raw_end > pump->input_touched_bytes)
        pump->input_touched_bytes = pump->raw_end;
    if (pump->input_touched_bytes <= INPUT_KEPT_BYTES || rest_bytes > SMALL_REST_BYTES)
        return;
    pump_give_back(pump, pump->input_offset + INPUT_KEPT_BYTES, pump->input_offset + pump->input_touched_bytes);
    pump->input_touched_bytes = 0;
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
        give_back_input(pump, text_bytes + raw_bytes);
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

/* When PUMP_STALLED is to be told; INT64_MAX where nothing is stopped, or it was. */
static int64_t stall_due_ns(const struct pump *pump)
{
    return pump->counters.stopped && !pump->is_stall_told ? pump->stopped_since_ns + pump->config.stall_ns : INT64_MAX;
}

static void end_stop(struct pump *pump, int64_t at_ns)
{
    const uint32_t number = pump->counters.full_pipe;
    const int64_t stopped_ns = at_ns - pump->stopped_since_ns;
    pump->pipe[number].stopped_ns_total += stopped_ns;
    if (!pump->is_stall_told)
        return;
    pump->is_stall_told = 0;
    pump->has_resumed = 1;
    pump->resumed_pipe = number;
    pump->stalled_ns = stopped_ns;
}

/* Books which pipe stops the reading now. A pipe's stop goes on where it was dealt some records and is full again; it ends where
 * another pipe takes its place. */
static void note_stop(struct pump *pump, uint32_t is_stopped)
{
    struct pump_counters *counters = &pump->counters;
    if (is_stopped == counters->stopped && (!is_stopped || pump->held_pipe == counters->full_pipe))
        return;
    const int64_t at_ns = now_ns();
    if (counters->stopped)
        end_stop(pump, at_ns);
    if (!is_stopped)
        counters->last_input_ns = at_ns; /* the silence was ours */
    else
        counters->full_total += !counters->stopped;
    pump->stopped_since_ns = at_ns;
    counters->full_pipe = pump->held_pipe;
    counters->stopped = is_stopped;
}

/* Returns PUMP_STALLED or PUMP_RESUMED where that is to be told, or 0. */
static int stall_event(struct pump *pump)
{
    const int64_t due_ns = stall_due_ns(pump);
    if (pump->has_resumed) {
        pump->has_resumed = 0;
        pump->detail.pipe = pump->resumed_pipe;
        pump->detail.stalled_ns = pump->stalled_ns;
        return PUMP_RESUMED;
    }
    if (due_ns == INT64_MAX || now_ns() < due_ns)
        return 0;
    pump->is_stall_told = 1;
    pump->detail.pipe = pump->counters.full_pipe;
    return PUMP_STALLED;
}

/* How long poll() may wait. */
static int poll_timeout_ms(const struct pump *pump, int64_t deadline_ns)
{
    if (pump->arrived == PUMP_ARRIVED_HIDDEN && !pump->counters.stopped)
        return 0;
    const int64_t at_ns = now_ns();
    const int64_t ends_ns[] = {
        stall_due_ns(pump),
        pump->paused_count ? pump->pause_ends_ns : INT64_MAX,
        pump->arrived == PUMP_ARRIVED_PART ? at_ns + PART_PAUSE_MS * INT64_C(1000000) : INT64_MAX,
    };
    int64_t end_ns = deadline_ns;
    for (size_t i = 0; i < sizeof ends_ns / sizeof *ends_ns; i++)
        end_ns = ends_ns[i] < end_ns ? ends_ns[i] : end_ns;
    /* rounded up: a deadline is never missed by being early and polling again and again */
    const int64_t left_ns = end_ns - at_ns;
    return left_ns <= 0 ? 0 : left_ns >= (int64_t)INT32_MAX * 1000000 ? INT32_MAX : (int)((left_ns + 999999) / 1000000);
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
            polled[count++] = (struct pollfd){
                .fd = pump->pipe[number].full == PIPE_FULL ? pump->pipe[number].fd : -1, .events = POLLOUT};
    return count;
}

/* Writes to the pipes that have room again. `polled` lists the full pipes in their order. */
static int flush_writable(struct pump *pump, const struct pollfd *polled)
{
    const struct pollfd *next = polled;
    const int is_pause_over = pump->paused_count && now_ns() >= pump->pause_ends_ns;
    int rc = 0;
    for (uint32_t number = 0, left = pump->full_count; left; number++) {
        if (!pump->pipe[number].full)
            continue;
        left--;
        const int is_paused = pump->pipe[number].full == PIPE_PAUSED;
        if ((is_paused ? is_pause_over : (next->revents != 0)) && outbox_flush_full(pump, number) < 0)
            rc = PUMP_ERR_PIPE;
        next++;
    }
    return rc;
}

/* poll(), but where it can't be had: for want of memory for its list, or because that is longer than RLIMIT_NOFILE has since become.
 * Then a pause, and all are called ready, so that all are tried; but the wake-up fd, which is asked for alone. */
static int poll_or_pause(struct pump *pump, struct pollfd *polled, nfds_t count, int timeout_ms)
{
    const int ready = poll(polled, count, timeout_ms);
    if (ready >= 0 || (errno != ENOMEM && errno != EINVAL))
        return ready;
    pump->counters.pauses_total++;
    const struct timespec pause = {.tv_nsec = PUMP_PAUSE_MS * 1000000L};
    nanosleep(&pause, NULL);
    for (nfds_t at = 0; at < count; at++)
        polled[at].revents = polled[at].fd < 0 ? 0 : polled[at].events;
    if (poll(polled, 1, 0) < 0)
        polled[0].revents = 0;
    return 0;
}

/* Returns 0 when there may be work or a stall to tell, or PUMP_WAKE, PUMP_READABLE, PUMP_DEADLINE, or an error. */
static int wait_for_work(struct pump *pump, int64_t deadline_ns)
{
    struct pollfd *polled = (struct pollfd *)(void *)pump_at(pump, pump->polled_offset);
    const nfds_t count = list_polled(pump, polled);
    const int ready = poll_or_pause(pump, polled, count, poll_timeout_ms(pump, deadline_ns));
    if (ready < 0)
        return errno == EINTR ? (int)PUMP_WAKE : (int)PUMP_ERR_POLL;
    const int rc = flush_writable(pump, polled + 2);
    if (rc < 0)
        return rc;
    if (polled[0].revents)
        return PUMP_WAKE;
    if (pump->arrived == PUMP_ARRIVED_PART)
        pump->arrived = PUMP_ARRIVED_ALL;
    if (pump->arrived == PUMP_ARRIVED_HIDDEN && !pump->counters.stopped)
        pump->arrived = PUMP_ARRIVED_SOME;
    if (polled[1].revents) {
        pump->arrived = PUMP_ARRIVED_POLLED;
        return pump->source == PUMP_SOURCE_CALLER ? PUMP_READABLE : 0;
    }
    return ready == 0 && now_ns() >= deadline_ns ? PUMP_DEADLINE : 0;
}

/* Parses and deals all that was received. Returns 0, an event or an error; counters.stopped tells of a full pipe. */
static int work(struct pump *pump)
{
    const int rc = input_parse(pump);
    const int ends_session = (rc < 0 && rc != PUMP_ERR_PIPE) || (rc == PUMP_CONTROL && pump->detail.opcode == WS_CLOSE);
    pump->has_work = rc != 0 && !ends_session; /* what follows a close frame is discarded (RFC 6455 section 1.4) */
    note_stop(pump, rc == DEAL_FULL);
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
    const int flushed = outbox_flush_touched(pump);
    pump->flushed_bytes_total = staged_bytes_total(pump);
    if (flushed < 0 && rc == 0)
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

/* Returns PUMP_PIPE_DRAINED for the next pipe that is, PUMP_DRAINED when all are, or 0. */
static int drain_event(struct pump *pump)
{
    if (pump->undrained_count == 0)
        return PUMP_DRAINED;
    for (uint32_t looked_at = 0; looked_at < pump->config.pipes; looked_at++) {
        const uint32_t number = pump->drain_at;
        struct pump_pipe *pipe = &pump->pipe[number];
        pump->drain_at = number + 1 < pump->config.pipes ? number + 1 : 0;
        if (pipe->is_done || pipe->head < pipe->tail)
            continue;
        set_done(pump, pipe);
        pump->detail.pipe = number;
        return PUMP_PIPE_DRAINED;
    }
    return 0;
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
        if (rc == 0)
            rc = stall_event(pump);
        if (rc == 0 && pump->draining && !pump->has_work)
            rc = drain_event(pump);
        if (rc != 0)
            return rc;
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
