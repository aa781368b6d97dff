#include "stop.h"

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

void stop_note(struct pump *pump, uint32_t is_stopped)
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

int stop_event(struct pump *pump)
{
    const int64_t due_ns = stop_due_ns(pump);
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
