/* Records that wait to be packed: of each pipe, topic and key those that came, in their order, copied. */
#ifndef WINDOW_H
#define WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "subject.h"

struct window_record {
    uint64_t number;
    size_t offset; /* of its text */
    uint32_t bytes;
    uint32_t next; /* WINDOW_NONE: it is the last of its group */
};

struct window_group {
    size_t key_offset;
    uint32_t key_bytes;
    uint32_t pipe, topic;
    uint32_t first, last;
    uint32_t slot; /* in the table */
};

#define WINDOW_NONE UINT32_MAX

struct window {
    uint8_t *text;
    size_t text_bytes, text_room;
    struct window_record *records;
    uint32_t count, room;
    struct window_group *groups;
    uint32_t group_count;
    uint32_t *table; /* 1 + the group, 0: free */
    uint32_t table_mask;
    uint32_t handed_over; /* groups whose records have all left */
};

/* Returns 0, or -1 for want of memory. `records` is a power of two. */
int window_open(struct window *window, uint32_t records, size_t text_bytes);
void window_close(struct window *window);

/* Whether a record of so many bytes with such a key still has room. A window that is empty has room for any. */
bool window_has_room(const struct window *window, size_t bytes);

/* Returns 0, or -1 for want of memory. */
int window_add(struct window *window, uint32_t pipe, uint32_t topic, const struct subject *subject, const uint8_t *record, size_t bytes,
               uint64_t number);

void window_clear(struct window *window);

#endif
