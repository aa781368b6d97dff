#include "readers.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

/* While the feed never pauses: */
enum {
    LOOK_NS = 1000 * 1000,     /* between two looks at full pipes */
    HOLD_NS = 5 * 1000 * 1000, /* so long may wait what is not worth a system call, and the wake-up of its reader ... */
    WORTH_BYTES = 32 * 1024    /* ... as this much is */
};

static struct readers *part(const struct pump *pump)
{
    return (struct readers *)(void *)pump_at(pump, pump->readers_offset);
}

/* Gives the part to this process: with no reader, and `left` of another's. Returns NULL with errno. */
static struct readers *begin(struct pump *pump, uint64_t left)
{
    struct readers *readers = part(pump);
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        return NULL;
    readers->left = left;
    readers->attached = readers->waiting = readers->gone = readers->staged_bytes = 0;
    readers->written_ns = readers->looked_ns = 0;
    readers->epoll_fd = epoll_fd;
    readers->limits_pipes = 0;
    readers->topics = (struct topics){0};
    topics_clear(&readers->topics, 1);
    for (uint32_t number = 0; number < PUMP_READERS_MAX; number++) {
        readers->reader[number].fd = -1;
        readers->reader[number].ring.bytes = NULL;
    }
    readers->is_used = 1;
    return pump->readers = readers;
}

/* What there is, made where there is none. Returns NULL with errno. */
static struct readers *get(struct pump *pump)
{
    return pump->readers ? pump->readers : begin(pump, 0);
}

void readers_unmap(struct pump *pump)
{
    struct readers *readers = pump->readers;
    if (!readers)
        return;
    for (int number = 0; number < PUMP_READERS_MAX; number++)
        ring_unmap(&readers->reader[number].ring);
    topics_free(&readers->topics);
    close(readers->epoll_fd);
    pump->readers = NULL;
}

static void end_if_idle(struct pump *pump)
{
    struct readers *readers = pump->readers;
    if (readers && !readers->left && !readers->attached && !readers->gone && !readers->limits_pipes) {
        readers_unmap(pump);
        readers->is_used = 0;
    }
}

int readers_adopt(struct pump *pump)
{
    const struct readers *readers = part(pump);
    uint64_t left = 0;
    pump->readers = NULL;
    for (uint32_t number = 0; readers->is_used && number < PUMP_READERS_MAX; number++)
        left |= readers->reader[number].fd >= 0 ? UINT64_C(1) << number : 0;
    left |= readers->is_used ? readers->left : 0;
    return !left || begin(pump, left) ? 0 : -1;
}

/* Maps the ring of this number, of the capacity that it says. */
static int map_ring(const struct pump *pump, uint32_t number)
{
    const uint64_t offset = pump->rings_offset + (uint64_t)number * PUMP_BACKLOG_MAX_BYTES;
    return ring_map(&pump->readers->reader[number].ring, pump->memory_fd, offset);
}

/* The reader is there from now on. Returns 0, or -1 with errno. */
static int attach(struct readers *readers, uint32_t number, int fd)
{
    struct epoll_event wanted = {.events = EPOLLOUT | EPOLLET, .data.u32 = number};
    if (epoll_ctl(readers->epoll_fd, EPOLL_CTL_ADD, fd, &wanted) < 0)
        return -1;
    readers->reader[number].fd = fd;
    readers->attached |= UINT64_C(1) << number;
    readers->waiting |= readers->reader[number].head < readers->reader[number].tail ? UINT64_C(1) << number : 0;
    return 0;
}

/* The place of this number is free again. */
static void release(struct pump *pump, uint32_t number)
{
    struct reader *reader = &pump->readers->reader[number];
    const int error = errno;
    ring_free(&reader->ring);
    reader->fd = -1;
    end_if_idle(pump);
    errno = error;
}

/* Gives the free place of this number to a reader; `state`: what another process has told of it, or NULL. Returns 0, or -1 with
 * errno. */
static int add(struct pump *pump, uint32_t number, const struct reader *wanted, const struct pump_reader_state *state, const uint8_t *waiting)
{
    struct reader *reader = &pump->readers->reader[number];
    *reader = *wanted;
    reader->fd = -1;
    if (map_ring(pump, number) < 0) {
        release(pump, number);
        return -1;
    }
    errno = EINVAL;
    if ((state && !reader_restore(reader, state, waiting)) || attach(pump->readers, number, wanted->fd) < 0) {
        release(pump, number);
        return -1;
    }
    return 0;
}

static int is_free(const struct readers *readers, uint32_t number)
{
    return readers->reader[number].fd < 0 && !(readers->left >> number & 1);
}

int pump_add_reader(struct pump *pump, int fd, enum pump_policy policy, int has_markers, uint64_t backlog_bytes)
{
    uint32_t number = 0;
    errno = EINVAL;
    if (backlog_bytes > PUMP_BACKLOG_MAX_BYTES || !get(pump))
        return -1;
    while (number < PUMP_READERS_MAX && !is_free(pump->readers, number))
        number++;
    errno = ENOSPC;
    const struct reader wanted = reader_of(fd, policy, has_markers, backlog_bytes);
    return number == PUMP_READERS_MAX || add(pump, number, &wanted, NULL, NULL) < 0 ? -1 : (int)number;
}

int pump_go_on_reader(struct pump *pump, uint32_t number, int fd)
{
    struct readers *readers = pump->readers;
    if (readers && number < PUMP_READERS_MAX && readers->reader[number].fd >= 0 && readers->reader[number].fd == fd)
        return 0; /* goes on already: pump_restore_reader() */
    errno = EINVAL;
    if (!readers || number >= PUMP_READERS_MAX || !(readers->left >> number & 1))
        return -1;
    struct reader *reader = &readers->reader[number];
    if (!reader_is_capacity(reader->ring.capacity) || map_ring(pump, number) < 0)
        return -1;
    errno = EINVAL;
    if (!reader_prove(reader) || attach(readers, number, fd) < 0) {
        ring_unmap(&reader->ring);
        return -1;
    }
    readers->left &= ~(UINT64_C(1) << number);
    return 0;
}

void pump_forget_readers(struct pump *pump)
{
    struct readers *readers = pump->readers;
    if (!readers)
        return;
    for (uint64_t bits = readers->left; bits; bits &= bits - 1) {
        const uint32_t number = (uint32_t)__builtin_ctzll(bits);
        readers->reader[number].ring.capacity = PUMP_BACKLOG_MAX_BYTES;
        map_ring(pump, number); /* or what it had is given back later, when the place is used again */
        ring_free(&readers->reader[number].ring);
    }
    readers->left = 0;
    end_if_idle(pump);
}

void pump_reader_state(const struct pump *pump, uint32_t number, struct pump_reader_state *state, uint8_t *waiting)
{
    reader_state(&pump->readers->reader[number], state, waiting);
    pump_reader_counters(pump, number, &state->counters);
}

int pump_restore_reader(struct pump *pump, uint32_t number, const struct pump_reader_state *state, const uint8_t *waiting)
{
    errno = EINVAL;
    if (number >= PUMP_READERS_MAX || state->backlog_bytes > PUMP_BACKLOG_MAX_BYTES || !get(pump))
        return -1;
    errno = EINVAL;
    const struct reader wanted =
        reader_of(state->fd, (enum pump_policy)state->policy, state->has_markers != 0, state->backlog_bytes);
    return is_free(pump->readers, number) ? add(pump, number, &wanted, state, waiting) : -1;
}

void pump_remove_reader(struct pump *pump, uint32_t number)
{
    struct readers *readers = pump->readers;
    const uint64_t bit = UINT64_C(1) << number;
    if (!readers || readers->reader[number].fd < 0)
        return;
    epoll_ctl(readers->epoll_fd, EPOLL_CTL_DEL, readers->reader[number].fd, NULL);
    reader_write(&readers->reader[number]);
    readers->attached &= ~bit;
    readers->waiting &= ~bit;
    readers->gone &= ~bit;
    release(pump, number);
}

int pump_clear_topics(struct pump *pump, int limits_pipes)
{
    struct readers *readers = limits_pipes ? get(pump) : pump->readers;
    if (!readers)
        return limits_pipes ? -1 : 0;
    readers->limits_pipes = limits_pipes != 0;
    topics_clear(&readers->topics, !limits_pipes);
    end_if_idle(pump);
    return 0;
}

int pump_add_topic(struct pump *pump, uint32_t who, const uint8_t *kind, size_t kind_bytes, const uint8_t *key, size_t key_bytes)
{
    if (!pump->readers)
        return 0;
    const struct wanted by = {.readers = who < PUMP_READERS_MAX ? UINT64_C(1) << who : 0, .pipes = who == PUMP_PIPES};
    return topics_add(&pump->readers->topics, by, (struct topic_word){kind, kind_bytes}, (struct topic_word){key, key_bytes});
}

void pump_reader_counters(const struct pump *pump, uint32_t number, struct pump_reader_counters *counters)
{
    const struct reader *reader = &pump->readers->reader[number];
    *counters = reader->counters;
    counters->waiting_records = counters->offered_total - counters->delivered_total - counters->dropped_total;
    counters->waiting_bytes = reader->tail - reader->head;
}

/* Writes what waits for one. */
static void flush(struct readers *readers, uint32_t number)
{
    struct reader *reader = &readers->reader[number];
    const uint64_t bit = UINT64_C(1) << number;
    if (!(readers->attached & bit))
        return;
    if (reader_write(reader) < 0) {
        readers->attached &= ~bit;
        readers->waiting &= ~bit;
        readers->gone |= bit;
    } else if (reader->head == reader->tail) {
        readers->waiting &= ~bit;
    }
}

void readers_look(struct readers *readers)
{
    struct epoll_event events[PUMP_READERS_MAX];
    const int count = epoll_wait(readers->epoll_fd, events, PUMP_READERS_MAX, 0);
    for (int at = 0; at < count; at++) {
        const uint32_t number = events[at].data.u32;
        const uint64_t bit = UINT64_C(1) << number;
        if ((events[at].events & EPOLLERR) && (readers->attached & bit)) {
            readers->attached &= ~bit;
            readers->waiting &= ~bit;
            readers->gone |= bit;
        } else {
            flush(readers, number);
        }
    }
}

/* Of those whose pipes are not known to be full, writes what waits where it is at least so much. Returns whether a pipe
 * is full. */
static int write_from(struct readers *readers, uint64_t least_bytes)
{
    int is_any_full = 0;
    for (uint64_t bits = readers->waiting; bits; bits &= bits - 1) {
        const uint32_t number = (uint32_t)__builtin_ctzll(bits);
        const struct reader *reader = &readers->reader[number];
        if (reader->is_full)
            is_any_full = 1;
        else if (reader->tail - reader->head >= least_bytes)
            flush(readers, number);
    }
    return is_any_full;
}

void readers_flush_all(struct readers *readers)
{
    write_from(readers, 0);
}

int readers_hold(const struct readers *readers)
{
    for (uint64_t bits = readers->waiting; bits; bits &= bits - 1)
        if (!readers->reader[__builtin_ctzll(bits)].is_full)
            return 1;
    return 0;
}

void readers_flush(struct readers *readers, int64_t at_ns)
{
    const int is_time = at_ns - readers->written_ns >= HOLD_NS;
    readers->staged_bytes = 0;
    if (is_time)
        readers->written_ns = at_ns;
    const int is_any_full = write_from(readers, is_time ? 0 : WORTH_BYTES);
    if (is_any_full && at_ns - readers->looked_ns >= LOOK_NS) {
        readers->looked_ns = at_ns;
        readers_look(readers);
    }
}

int readers_event(struct pump *pump)
{
    struct readers *readers = pump->readers;
    if (!readers || !readers->gone)
        return 0;
    pump->detail.pipe = (uint32_t)__builtin_ctzll(readers->gone);
    readers->gone &= readers->gone - 1;
    return PUMP_READER_GONE;
}
