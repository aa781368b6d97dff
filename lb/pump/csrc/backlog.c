#include "backlog.h"
#include "outbox.h"
#include "spill_state.h"

#include <sys/ioctl.h>

enum {
    PORTION_BYTES = 4096,  /* dealt to a pipe before the next is chosen: dozens of records, and a page of the pipe's */
    LOOK_NS = 1000 * 1000, /* between two looks into the pipes: a system call for each */
    LOOK_PIPE_NS = 10 * 1000 /* ... for each pipe: with many of them, a hundredth of the time at most */
};

/* Of each pipe, as of the last choice. */
static uint64_t *backlogs(const struct pump *pump)
{
    return (uint64_t *)(void *)pump_at(pump, pump->backlogs_offset);
}

/* In its outbox and on disk. */
static uint64_t waiting_bytes(const struct pump *pump, uint32_t number)
{
    const struct pump_pipe *pipe = &pump->pipe[number];
    return (pipe->tail - pipe->head) + (pipe->is_spilled ? spill_of(pump, number)->bytes : 0);
}

static uint64_t dealt_bytes_total(const struct pump *pump, uint32_t number)
{
    return pump->pipe[number].written_bytes_total + waiting_bytes(pump, number);
}

static void look(const struct pump *pump)
{
    uint64_t *backlog = backlogs(pump);
    for (uint32_t number = 0; number < pump->config.pipes; number++) {
        const struct pump_pipe *pipe = &pump->pipe[number];
        int queued_bytes = 0;
        if (pipe->fd >= 0 && ioctl(pipe->fd, FIONREAD, &queued_bytes) < 0)
            queued_bytes = 0;
        backlog[number] = pipe->fd < 0 ? UINT64_MAX : (uint64_t)queued_bytes + waiting_bytes(pump, number);
    }
}

/* Between two looks, what was dealt since is added. */
static void update(struct pump *pump)
{
    const int64_t at_ns = now_ns(), every_ns = (int64_t)pump->config.pipes * LOOK_PIPE_NS;
    if (at_ns >= pump->backlog_due_ns) {
        look(pump);
        pump->backlog_due_ns = at_ns + (every_ns > LOOK_NS ? every_ns : LOOK_NS);
    } else {
        backlogs(pump)[pump->next_pipe] += dealt_bytes_total(pump, pump->next_pipe) - pump->portion_total_before;
    }
}

/* The first with the least from `begin` on, up to `end`, or `best` where none has less. */
static uint32_t least(const uint64_t *backlog, uint32_t begin, uint32_t end, uint32_t best)
{
    for (uint32_t number = begin; number < end; number++)
        if (backlog[number] < backlog[best])
            best = number;
    return best;
}

static uint32_t begin_portion(struct pump *pump, uint32_t number)
{
    const struct pump_pipe *pipe = &pump->pipe[number];
    pump->next_pipe = number;
    pump->portion_begin = pipe->tail;
    pump->portion_bytes = PORTION_BYTES;
    pump->portion_total_before = dealt_bytes_total(pump, number);
    return number;
}

static uint32_t next_of(const struct pump *pump, uint32_t number)
{
    return number + 1 < pump->config.pipes ? number + 1 : 0;
}

uint32_t backlog_choose(struct pump *pump)
{
    update(pump);
    const uint64_t *backlog = backlogs(pump);
    const uint32_t next = next_of(pump, pump->next_pipe); /* equals take turns */
    return begin_portion(pump, least(backlog, 0, next, least(backlog, next, pump->config.pipes, next)));
}

static int has_room(struct pump *pump, uint32_t number, size_t bytes)
{
    const struct pump_pipe *pipe = &pump->pipe[number];
    if (pipe->fd < 0 || outbox_has_room(pipe, bytes))
        return pipe->fd >= 0;
    return !pipe->full && outbox_flush_full(pump, number) == 0 && outbox_has_room(pipe, bytes);
}

uint32_t backlog_pipe_with_room(struct pump *pump, size_t bytes)
{
    const uint32_t chosen = backlog_pipe(pump);
    if (has_room(pump, chosen, bytes))
        return chosen;
    /* Not to one that is spilled: the disk has room for the chosen one's, too, and that has less. */
    for (uint32_t number = next_of(pump, chosen); number != chosen; number = next_of(pump, number))
        if (!pump->pipe[number].is_spilled && has_room(pump, number, bytes)) {
            update(pump);
            return begin_portion(pump, number);
        }
    return pump->counters.stopped ? pump->counters.full_pipe : chosen; /* one stop is one pipe's */
}
