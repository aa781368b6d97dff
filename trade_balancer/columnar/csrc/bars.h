/* Bars of the trades in tables: open, high, low, close and volume of each symbol and interval. What Python calls.
 *
 * A bar is open until a trade of a later interval of its symbol comes; then it is closed, and given out. What comes for it afterwards is late:
 * counted, or put into it, if it is one of the last so many of its symbol; then it is given out again, as a correction. */
#ifndef BARS_H
#define BARS_H

#include "columns.h"

/* cffi: begin */
/* What a trade may do to a bar: of each condition, one may be forbidden. */
enum bars_update { BARS_OPEN_CLOSE = 1, BARS_HIGH_LOW = 2, BARS_VOLUME = 4, BARS_ALL = 7 };

enum bars_limit { BARS_CONDITIONS = 256, BARS_HISTORY_MAX = 64 };

struct bars_config {
    int64_t interval_ms;
    uint32_t history;         /* closed bars of each symbol that late trades may still correct */
    uint8_t may_update[256];  /* of each condition: what a trade that has it may do. Of larger numbers: everything */
};

/* Which columns of a table are what, -1 for none. Sizes are exact columns; `decimal_size` counts where a trade has it, else `size`. */
struct bars_columns {
    int8_t symbol, time, price, size, decimal_size, conditions;
};

struct bars_counters {
    uint64_t bars_total;     /* bars given out, corrections of them not counted */
    uint64_t late_total;     /* trades that came too late for any bar */
    uint64_t unusable_total; /* trades without symbol, time, price or size, or of a size that no bar can hold */
};

struct bars;

/* NULL where there is no memory. */
struct bars *bars_new(const struct bars_config *config);
void bars_free(struct bars *bars);

/* Local time is UTC plus offset_ms[i] from from_ms[i] on, which rise; before the first, it is UTC. Returns 0, or -1 where there is no memory. */
int bars_set_zone(struct bars *bars, const int64_t *from_ms, const int64_t *offset_ms, uint32_t count);

/* Hands in the trades of a table; the block is looked into until bars_take(). Returns 0, or -1 where there is no memory. */
int bars_add(struct bars *bars, struct columns_block *block, uint32_t event, const struct bars_columns *columns);

/* Puts what was handed in into bars; in the order of time, if is_merged, equal ones as they came. Bars that were closed or corrected by that
 * are given out. Returns how many, or -1 where there is no memory. */
int64_t bars_take(struct bars *bars, int is_merged);

/* Closes all bars, and gives them out by time and symbol, whose codes are the decoder's; as bars_take(). */
int64_t bars_finish(struct bars *bars, const struct columns_decoder *decoder);

/* Writes the bars that the last call has given out as lines of JSON, from bar *next on, as many as `room` has bytes for. Returns how many bytes
 * that took, with the first bar that is not written in *next; 0 where there is no room for one line, or none is left. */
size_t bars_lines(const struct bars *bars, const struct columns_decoder *decoder, size_t *next, char *to, size_t room);

/* How many bars the last call has given out. */
size_t bars_given(const struct bars *bars);

void bars_counters(const struct bars *bars, struct bars_counters *counters);
/* cffi: end */

#endif
