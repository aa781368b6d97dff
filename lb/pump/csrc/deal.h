/* What the parts of dealing, deal.c and the vectors of deal_avx2.c and deal_avx512.c, share. */
#ifndef DEAL_H
#define DEAL_H

#include "pump.h"

int deal_has_avx2(void);
int deal_has_avx512(void);

/* deal_run() with the vectors named. */
size_t deal_run_avx2(struct pump *pump, const uint8_t *text, const uint8_t *end, uint8_t state);
size_t deal_run_avx512(struct pump *pump, const uint8_t *text, const uint8_t *end, uint8_t state);

/* Deals records from text[0] on, where `state` is SCAN_START or SCAN_BEHIND, for as long as it can prove where they end; each with the
 * separator before it. Returns how many bytes it has dealt. The general path goes on where it stops. */
static inline size_t deal_run(struct pump *pump, const uint8_t *text, size_t length, uint8_t state)
{
    switch (pump->vectors) {
    case PUMP_VECTORS_AVX512: return deal_run_avx512(pump, text, text + length, state);
    case PUMP_VECTORS_AVX2: return deal_run_avx2(pump, text, text + length, state);
    default: return 0;
    }
}

/* Books one record that was put into the outbox of this pipe. */
static inline __attribute__((always_inline)) void deal_count(struct pump *pump, struct pump_pipe *pipe)
{
    pipe->dealt_total++;
    outbox_touch(pump, pipe);
}

#endif
