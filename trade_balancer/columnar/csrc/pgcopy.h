/* Rows of tables as PostgreSQL's binary COPY has them: how many fields, then of each its length and its bytes, all big-endian (PostgreSQL's
 * documentation of COPY, Binary Format; of arrays array_send() in arrayfuncs.c). What Python calls.
 *
 * A row has the day first, as a date, and then the table's columns in their order: symbols and texts as text, int32 and int64 as int4 and
 * int8, doubles as float8, booleans as bool, lists as int4[]. A zero byte in a text, which PostgreSQL takes in none, becomes U+FFFD. */
#ifndef PGCOPY_H
#define PGCOPY_H

#include "columns.h"

/* cffi: begin */
enum pgcopy_none { PGCOPY_NONE = -1 };

/* Of an event's table; columns by their numbers. */
struct pgcopy_config {
    int32_t time;          /* whose day it is */
    int64_t units_per_ms;  /* of that time */
    uint32_t zero;         /* a bit for each column that has 0 where others have null */
    int32_t id, number;    /* where a row has no id, that is "q" and its number, if it has one; or PGCOPY_NONE */
};

struct pgcopy;

/* Local time, by which days are, is UTC plus offset_ms[i] from from_ms[i] on, which rise; before the first, it is UTC. NULL where there is no
 * memory. */
struct pgcopy *pgcopy_new(const struct pgcopy_config *config, const int64_t *from_ms, const int64_t *offset_ms, uint32_t offsets);
void pgcopy_free(struct pgcopy *copy);

/* Writes the event's rows from *row on, as many as `room` has bytes for. Returns how many bytes that took, with the first row that is not
 * written in *row; 0 where there is no room for one, or none is left. */
size_t pgcopy_rows(struct pgcopy *copy, const struct columns_decoder *decoder, struct columns_block *block, uint32_t event, uint32_t *row,
                   uint8_t *to, size_t room);
/* cffi: end */

#endif
