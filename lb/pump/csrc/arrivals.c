#include "arrivals.h"
#include "outbox.h"

#include <endian.h>
#include <string.h>

enum { ARRIVALS_INTERVAL_MS = 20 };

void arrivals_begin(struct pump *pump)
{
    pump->arrival_due_ns = 0;
}

static void note(struct pump *pump, uint64_t frame)
{
    struct pump_arrival *newest = &pump->newest;
    uint32_t wire_length;
    memcpy(&wire_length, pump_at(pump, frame), PUMP_LENGTH_BYTES);
    const size_t length = le32toh(wire_length);
    newest->length = length < PUMP_ARRIVAL_BYTES ? length : PUMP_ARRIVAL_BYTES;
    memcpy(newest->bytes, pump_at(pump, frame + PUMP_LENGTH_BYTES), newest->length);
    newest->received_ns = pump->counters.last_input_ns;
    if (newest->received_ns < pump->arrival_due_ns)
        return;
    pump->arrivals[newest->number % PUMP_ARRIVALS] = *newest;
    newest->number++;
    pump->arrival_due_ns = newest->received_ns + ARRIVALS_INTERVAL_MS * INT64_C(1000000);
}

/* Of an outbox that is not full, all that waits was dealt since the last flush: its first frame came with the newest
 * read. One copy per flush, whatever the number of records. */
void arrivals_note(struct pump *pump)
{
    const uint32_t *touched = pump_touched(pump);
    for (uint32_t at = 0; at < pump->touched_count; at++) {
        const struct pump_pipe *pipe = &pump->pipe[touched[at]];
        if (!pipe->full && pipe->head == pipe->frame && pipe->head < pipe->tail) {
            note(pump, pipe->head);
            return;
        }
    }
}

int pump_newest(const struct pump *pump, struct pump_arrival *arrival)
{
    *arrival = pump->newest;
    return arrival->received_ns != 0;
}

int pump_arrival(const struct pump *pump, uint64_t least_number, struct pump_arrival *arrival)
{
    const uint64_t total = pump->newest.number;
    const uint64_t oldest = total > PUMP_ARRIVALS ? total - PUMP_ARRIVALS : 0;
    const uint64_t number = least_number > oldest ? least_number : oldest;
    if (number >= total)
        return 0;
    *arrival = pump->arrivals[number % PUMP_ARRIVALS];
    return 1;
}
