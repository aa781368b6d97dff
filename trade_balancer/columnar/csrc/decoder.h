/* What the files of the decoder share: its state, and that of a block. */
#ifndef DECODER_H
#define DECODER_H

#include "columns.h"
#include "layout.h"
#include "symbols.h"

/* The names that the exact decoder looks for, as json_word() gives them. */
struct event_words {
    uint64_t event;
    uint64_t member[COLUMNS_MAX]; /* of each column */
};

struct columns_decoder {
    uint32_t events;
    uint32_t vectors; /* enum columns_vectors: what the fast path uses */
    uint32_t last_event;    /* the fast path's guess at the next record's */
    struct columns_event event[COLUMNS_EVENTS_MAX];
    struct event_head head[COLUMNS_EVENTS_MAX];
    struct event_words words[COLUMNS_EVENTS_MAX];
    struct layouts layouts;
    struct symbols symbols;
    struct columns_counters counters;
};

struct columns_block {
    uint32_t references; /* atomic */
    uint32_t tables;
    uint32_t rows_capacity;
    uint32_t records;      /* of all tables and of the others */
    size_t text_capacity;
    size_t bytes;          /* of all but the others */
    struct columns_others others;
    struct columns_table table[COLUMNS_EVENTS_MAX];
};

/* Whether a table has room for one more row, of a record of so many bytes. */
static inline int table_has_room(const struct columns_block *block, const struct columns_table *table, size_t record_bytes)
{
    return table->rows < block->rows_capacity && table->text_bytes + record_bytes <= block->text_capacity;
}

/* Puts a record behind the others. Returns 0, or -1 where there is no memory. */
int block_add_other(struct columns_block *block, const uint8_t *record, size_t length, enum columns_why why);

/* Writes what stands in a row for no value. */
void column_set_null(const struct columns_column *column, uint32_t row);

/* Counts the nulls of each column, and tells its validity where there are any. */
void block_finish(struct columns_block *block);

#endif
