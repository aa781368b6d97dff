#include "wait.h"
#include "outbox.h"
#include "readers.h"
#include "stop.h"

#include <errno.h>
#include <poll.h>

enum { PART_PAUSE_MS = 1 };

#define NS_PER_MS INT64_C(1000000)

static int64_t earlier(int64_t one_ns, int64_t other_ns)
{
    return one_ns < other_ns ? one_ns : other_ns;
}

/* How long poll() may wait. */
static int timeout_ms(const struct pump *pump, int64_t deadline_ns)
{
    if (wait_hides_input(pump) && pump->last_read >= READ_SHORT && !pump->counters.stopped)
        return 0; /* a glance at full pipes between two reads */
    if (pump->touched_count)
        return 0; /* a spilled pipe that has only let the others have their turn */
    const int64_t at_ns = now_ns();
    int64_t end_ns = earlier(deadline_ns, stop_due_ns(pump));
    if (pump->paused_count)
        end_ns = earlier(end_ns, pump->pause_ends_ns);
    if (pump->counters.stopped && pump->pipe[pump->counters.full_pipe].policy == PUMP_POLICY_SPILL)
        end_ns = earlier(end_ns, pump->spill_retry_ns);
    if (pump->last_read == READ_PART)
        end_ns = earlier(end_ns, at_ns + PART_PAUSE_MS * NS_PER_MS);
    /* rounded up: a deadline is never missed by being early and polling again and again */
    const int64_t left_ms = (end_ns - at_ns + NS_PER_MS - 1) / NS_PER_MS;
    return left_ms <= 0 ? 0 : left_ms >= INT32_MAX ? INT32_MAX : (int)left_ms;
}

/* Lists what is waited for; returns how many. [0] is the wake-up fd, [1] the feed, then the full pipes, at last the readers. poll()
 * ignores what is -1: the feed where it is not to be read now, and pipes that wait for the clock. */
static nfds_t list_polled(const struct pump *pump, struct pollfd *polled)
{
    nfds_t count = 2;
    const int is_feed_polled = !pump->counters.stopped && pump->last_read != READ_PART;
    polled[0] = (struct pollfd){.fd = pump->config.wake_fd, .events = POLLIN};
    polled[1] = (struct pollfd){.fd = is_feed_polled ? pump->feed_fd : -1, .events = POLLIN};
    for (uint32_t number = 0; count - 2 < pump->full_count; number++) {
        const struct pump_pipe *pipe = &pump->pipe[number];
        if (pipe->full)
            polled[count++] = (struct pollfd){.fd = pipe->full == PIPE_FULL ? pipe->fd : -1, .events = POLLOUT};
    }
    if (pump->readers)
        polled[count++] = (struct pollfd){.fd = pump->readers->epoll_fd, .events = POLLIN};
    return count;
}

/* poll(), but where it can't be had: for want of memory for its list, or because that is longer than RLIMIT_NOFILE
 * has since become. Then a pause, and all are called ready, so that all are tried; but the wake-up fd, which is
 * asked for alone. */
static int poll_or_pause(struct pump *pump, struct pollfd *polled, nfds_t count, int wait_ms)
{
    const int ready = poll(polled, count, wait_ms);
    if (ready >= 0 || (errno != ENOMEM && errno != EINVAL))
        return ready;
    pump->counters.pauses_total++;
    const struct timespec pause = {.tv_nsec = PUMP_PAUSE_MS * NS_PER_MS};
    nanosleep(&pause, NULL);
    for (nfds_t at = 0; at < count; at++)
        polled[at].revents = polled[at].fd < 0 ? 0 : polled[at].events;
    if (poll(polled, 1, 0) < 0)
        polled[0].revents = 0;
    return 0;
}

/* Before a sleep, readers get all that waits for them: nothing tells when more will come. */
static int poll_or_sleep(struct pump *pump, struct pollfd *polled, nfds_t count, int64_t deadline_ns)
{
    if (pump->readers && readers_hold(pump->readers)) {
        const int ready = poll(polled, count, 0);
        if (ready > 0)
            return ready;
        readers_flush_all(pump->readers);
    }
    return poll_or_pause(pump, polled, count, timeout_ms(pump, deadline_ns));
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
        if ((is_paused ? is_pause_over : next->revents != 0) && outbox_flush_full(pump, number) < 0)
            rc = PUMP_ERR_PIPE;
        next++;
    }
    return rc;
}

/* Books what poll() said of the feed. */
static void note_polled(struct pump *pump, const struct pollfd *feed)
{
    pump->has_polled = 1;
    pump->is_readable = feed->revents != 0;
    if (pump->last_read == READ_PART || (!pump->is_readable && feed->fd >= 0 && !wait_hides_input(pump)))
        pump->last_read = READ_NOTHING;
}

int wait_for_work(struct pump *pump, int64_t deadline_ns)
{
    struct pollfd *polled = (struct pollfd *)(void *)pump_at(pump, pump->polled_offset);
    const nfds_t count = list_polled(pump, polled);
    const int ready = poll_or_sleep(pump, polled, count, deadline_ns);
    if (ready < 0)
        return errno == EINTR ? (int)PUMP_WAKE : (int)PUMP_ERR_POLL;
    const int rc = flush_writable(pump, polled + 2);
    note_polled(pump, &polled[1]);
    if (pump->readers && polled[count - 1].revents)
        readers_look(pump->readers);
    if (rc < 0)
        return rc;
    if (polled[0].revents)
        return PUMP_WAKE;
    if (pump->is_readable)
        return pump->source == PUMP_SOURCE_CALLER ? PUMP_READABLE : 0;
    return ready == 0 && now_ns() >= deadline_ns ? PUMP_DEADLINE : 0;
}
