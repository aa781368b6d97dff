#include "readers.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

/* While the feed never pauses: */
enum {
    LOOK_NS = 1000 * 1000,     /* between two looks at full pipes */
    HOLD_NS = 5 * 1000 * 1000, /* so long may wait what is not worth a system call, and the wake-up of its reader ... */
    WORTH_BYTES = 32 * 1024    /* ... as this much is */
};

/* What there is, made where there is none. Returns NULL with errno. */
static struct readers *get(struct pump *pump)
{
    if (pump->readers)
        return pump->readers;
    struct readers *readers = calloc(1, sizeof *readers);
    if (!readers)
        return NULL;
    readers->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (readers->epoll_fd < 0) {
        free(readers);
        return NULL;
    }
    for (int number = 0; number < PUMP_READERS_MAX; number++)
        readers->reader[number].fd = -1;
    topics_clear(&readers->topics, 1);
    return pump->readers = readers;
}

void readers_free(struct pump *pump)
{
    struct readers *readers = pump->readers;
    if (!readers)
        return;
    for (int number = 0; number < PUMP_READERS_MAX; number++)
        reader_end(&readers->reader[number]);
    topics_free(&readers->topics);
    close(readers->epoll_fd);
    free(readers);
    pump->readers = NULL;
}

static void free_if_idle(struct pump *pump)
{
    if (pump->readers && !pump->readers->attached && !pump->readers->gone && !pump->readers->limits_pipes)
        readers_free(pump);
}

/* Gives the free place of this number to a reader. Returns NULL with errno. */
static struct reader *add(struct readers *readers, uint32_t number, int fd, enum pump_policy policy, int has_markers, uint64_t backlog_bytes)
{
    struct reader *reader = &readers->reader[number];
    if (reader_init(reader, fd, policy, has_markers, backlog_bytes) < 0)
        return NULL;
    struct epoll_event wanted = {.events = EPOLLOUT | EPOLLET, .data.u32 = number};
    if (epoll_ctl(readers->epoll_fd, EPOLL_CTL_ADD, fd, &wanted) < 0) {
        reader_end(reader);
        return NULL;
    }
    readers->attached |= UINT64_C(1) << number;
    return reader;
}

int pump_add_reader(struct pump *pump, int fd, enum pump_policy policy, int has_markers, uint64_t backlog_bytes)
{
    struct readers *readers = get(pump);
    if (!readers)
        return -1;
    uint32_t number = 0;
    while (number < PUMP_READERS_MAX && readers->reader[number].fd >= 0)
        number++;
    errno = ENOSPC;
    if (number == PUMP_READERS_MAX || !add(readers, number, fd, policy, has_markers, backlog_bytes))
        return -1;
    return (int)number;
}

void pump_reader_state(const struct pump *pump, uint32_t number, struct pump_reader_state *state, uint8_t *waiting)
{
    reader_state(&pump->readers->reader[number], state, waiting);
    pump_reader_counters(pump, number, &state->counters);
}

int pump_restore_reader(struct pump *pump, uint32_t number, int fd, enum pump_policy policy, int has_markers,
                        uint64_t backlog_bytes, const struct pump_reader_state *state, const uint8_t *waiting)
{
    struct readers *readers = get(pump);
    errno = EINVAL;
    if (!readers || number >= PUMP_READERS_MAX || readers->reader[number].fd >= 0)
        return -1;
    struct reader *reader = add(readers, number, fd, policy, has_markers, backlog_bytes);
    if (!reader)
        return -1;
    if (!reader_restore(reader, state, waiting)) {
        reader->head = reader->tail = 0; /* nothing of it is written */
        pump_remove_reader(pump, number);
        errno = EINVAL;
        return -1;
    }
    readers->waiting |= reader->head < reader->tail ? UINT64_C(1) << number : 0;
    return 0;
}

void pump_remove_reader(struct pump *pump, uint32_t number)
{
    struct readers *readers = pump->readers;
    const uint64_t bit = UINT64_C(1) << number;
    if (!readers || readers->reader[number].fd < 0)
        return;
    epoll_ctl(readers->epoll_fd, EPOLL_CTL_DEL, readers->reader[number].fd, NULL);
    reader_write(&readers->reader[number]);
    reader_end(&readers->reader[number]);
    readers->attached &= ~bit;
    readers->waiting &= ~bit;
    readers->gone &= ~bit;
    free_if_idle(pump);
}

int pump_clear_topics(struct pump *pump, int limits_pipes)
{
    struct readers *readers = limits_pipes ? get(pump) : pump->readers;
    if (!readers)
        return limits_pipes ? -1 : 0;
    readers->limits_pipes = limits_pipes != 0;
    topics_clear(&readers->topics, !limits_pipes);
    free_if_idle(pump);
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
