/* Layouts: what a venue's messages look like. A row per venue, each in a file of its own, which layout_row.h makes
 * from what the venue's header says about a record. A row is looked up once per run of records. */
#ifndef LAYOUT_H
#define LAYOUT_H

#include "pump_state.h"

/* Answer of deal_text(), beside enum pump_event: a pipe is full, and the record in hand is held. */
enum { DEAL_FULL = 1000 };

/* Deals flat records from text[0] on, where `state` is SCAN_START or SCAN_BEHIND, for as long as it can prove where
 * they end; each with the separator before it. Returns how many bytes it has dealt. deal_text() goes on where it
 * stops. */
typedef size_t layout_deal_run(struct pump *pump, const uint8_t *text, const uint8_t *end, uint8_t state);

struct layout {
    layout_deal_run *deal_run[3];      /* by enum pump_vectors */
    layout_deal_run *deal_selected[3]; /* the same while there are readers (readers.h) */

    /* Cuts the text in hand and puts the records into outboxes. Returns 0 when all is done that can be done,
     * PUMP_NOTICE, DEAL_FULL, or an error of the message or of a pipe. */
    int (*deal_text)(struct pump *pump);

    /* Of a flat object that is not to be dealt in a hurry, the byte at this place is '\' or above; 0: there is no
     * such place. */
    uint8_t letter_at;
};

extern const struct layout *const layouts[]; /* by enum pump_layout: layouts.h */

static inline const struct layout *layout_of(const struct pump *pump)
{
    return layouts[pump->config.layout];
}

static inline layout_deal_run *layout_run(const struct pump *pump)
{
    const struct layout *layout = layout_of(pump);
    return (pump->readers ? layout->deal_selected : layout->deal_run)[pump->vectors];
}

/* Chooses the vectors, no wider than `widest` (enum pump_vectors), and prepares them for the layout. */
void layout_init(struct pump *pump, uint32_t widest);

#endif
