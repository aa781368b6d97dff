/* What the two halves of dealing, deal.c and deal_avx2.c, share. */
#ifndef DEAL_H
#define DEAL_H

#include "pump.h"

/* Whether this machine can run deal_flat_run(). */
int deal_has_avx2(void);

/* Deals records from text_begin on for as long as it can prove where they end. Where it stops, the general path goes on. */
void deal_flat_run(struct pump *pump);

/* Books one record that was put into the outbox of this pipe. */
static inline void deal_count(struct pump *pump, uint32_t number)
{
    struct pump_pipe *pipe = &pump->pipe[number];
    pipe->waiting++;
    if (!pipe->touched)
        outbox_touch(pump, number);
}

/* Books `records` records that were put into the outboxes in turn, from next_pipe on. */
static inline void deal_count_in_turn(struct pump *pump, uint64_t records)
{
    const uint32_t pipes = pump->config.pipes;
    const uint64_t each = records < pipes ? 0 : records / pipes;
    const uint32_t more = (uint32_t)(records - each * pipes);
    const uint32_t touched = each ? pipes : more;
    uint32_t number = pump->next_pipe;
    for (uint32_t i = 0; i < touched; i++) {
        if (i == more)
            pump->next_pipe = number;
        pump->pipe[number].waiting += each + (i < more);
        if (!pump->pipe[number].touched)
            outbox_touch(pump, number);
        if (++number == pipes)
            number = 0;
    }
    if (touched == more)
        pump->next_pipe = number;
}

#endif
