/* The exact decoder: any record, in any JSON, into a row; slow and right. */
#ifndef FILL_H
#define FILL_H

#include "decoder.h"

enum fill_rc {
    FILL_OTHER,  /* it is among the others */
    FILL_ROW,    /* it is in the table of its event */
    FILL_NO_ROOM /* it was not taken: there is no room in its table, or among the others */
};

/* Fills in the names to look for. */
void fill_init(struct event_words *words, const struct columns_event *event);

/* Decodes a record and puts it where it belongs. Returns an enum fill_rc, with the event's number for a row, or an error. */
int fill_record(struct columns_decoder *decoder, struct columns_block *block, const uint8_t *record, size_t length, uint32_t *event);

#endif
