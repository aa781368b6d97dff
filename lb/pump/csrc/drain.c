#include "drain.h"
#include "backlog.h"
#include "outbox.h"

static void set_done(struct pump *pump, struct pump_pipe *pipe)
{
    if (pump->draining && !pipe->is_done)
        pump->undrained_count--;
    pipe->is_done = 1;
}

void pump_close_pipe(struct pump *pump, uint32_t number)
{
    set_done(pump, &pump->pipe[number]);
    outbox_close(pump, number);
    backlog_look_again(pump);
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

int drain_event(struct pump *pump)
{
    if (pump->undrained_count == 0)
        return PUMP_DRAINED;
    for (uint32_t looked_at = 0; looked_at < pump->config.pipes; looked_at++) {
        const uint32_t number = pump->drain_at;
        struct pump_pipe *pipe = &pump->pipe[number];
        pump->drain_at = number + 1 < pump->config.pipes ? number + 1 : 0;
        if (pipe->is_done || !outbox_is_drained(pump, number))
            continue;
        set_done(pump, pipe);
        pump->detail.pipe = number;
        return PUMP_PIPE_DRAINED;
    }
    return 0;
}
