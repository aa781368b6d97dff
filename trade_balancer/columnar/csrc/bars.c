#include "bars.h"

#include "bar.h"
#include "bar_line.h"
#include "number.h"
#include "symbols.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SYMBOLS_AT_FIRST = 8192, GIVEN_AT_FIRST = 4096, DIRTY_AT_FIRST = 64 };

/* Times beyond the year 9999 are nobody's. */
#define TIME_MAX_MS INT64_C(253402300799999)

/* The bars of a symbol. */
struct symbol_bars {
    struct bar open;
    uint32_t is_open;
    uint32_t kept;    /* closed bars in the ring, the newest at `newest` */
    uint32_t newest;
    struct bar *ring; /* as long as the history; NULL until a bar is kept */
};

/* A table that was handed in. */
struct source {
    const struct columns_table *table;
    struct bars_columns columns;
};

/* A trade's place, and what it is sorted by. */
struct trade_ref {
    int64_t time_ms;
    uint32_t source;
    uint32_t row;
};

struct bars {
    struct bars_config config;
    struct bars_counters counters;
    struct symbol_bars *symbols;
    uint32_t symbols_capacity;
    struct bar *given;
    size_t given_count, given_capacity;
    uint32_t *dirty;          /* symbols with corrected bars */
    size_t dirty_count, dirty_capacity;
    struct source *sources;
    size_t source_count, source_capacity;
    struct trade_ref *refs;
    size_t refs_capacity;
    struct intervals intervals;
};

/* Makes room for `count` items. Returns the array, or NULL where there is no memory. */
static void *grow(void *array, size_t *capacity, size_t count, size_t at_first, size_t item_bytes)
{
    size_t larger = *capacity ? *capacity : at_first;
    if (count <= *capacity)
        return array;
    while (larger < count)
        larger *= 2;
    void *grown = realloc(array, larger * item_bytes);
    if (grown)
        *capacity = larger;
    return grown;
}

struct bars *bars_new(const struct bars_config *config)
{
    struct bars *bars = calloc(1, sizeof *bars);
    if (bars) {
        bars->config = *config;
        bars->intervals.length_ms = config->interval_ms;
    }
    return bars;
}

void bars_free(struct bars *bars)
{
    for (uint32_t i = 0; i < bars->symbols_capacity; i++)
        free(bars->symbols[i].ring);
    free(bars->symbols);
    free(bars->given);
    free(bars->dirty);
    free(bars->sources);
    free(bars->refs);
    intervals_free(&bars->intervals);
    free(bars);
}

int bars_set_zone(struct bars *bars, const int64_t *from_ms, const int64_t *offset_ms, uint32_t count)
{
    return intervals_set_zone(&bars->intervals, from_ms, offset_ms, count);
}

int bars_add(struct bars *bars, struct columns_block *block, uint32_t event, const struct bars_columns *columns)
{
    struct source *sources = grow(bars->sources, &bars->source_capacity, bars->source_count + 1, 8, sizeof *sources);
    if (!sources)
        return -1;
    bars->sources = sources;
    bars->sources[bars->source_count++] = (struct source){columns_block_table(block, event), *columns};
    return 0;
}

/* Sorts by time; equal ones keep their order. Trades of one pipe are in order but for a few: so it merges runs that are there already. */
static void sort_refs(struct trade_ref *refs, struct trade_ref *spare, size_t count)
{
    for (size_t merged = 0; merged != count;) {
        size_t out = 0;
        merged = 0;
        while (out < count) {
            size_t middle = out + 1, end;
            while (middle < count && refs[middle - 1].time_ms <= refs[middle].time_ms)
                middle++;
            end = middle + (middle < count);
            while (end < count && refs[end - 1].time_ms <= refs[end].time_ms)
                end++;
            merged = out == 0 ? end : merged;
            size_t left = out, right = middle;
            while (out < end)
                spare[out++] = right == end || (left < middle && refs[left].time_ms <= refs[right].time_ms) ? refs[left++] : refs[right++];
        }
        memcpy(refs, spare, count * sizeof *refs);
    }
}

/* What a trade with these conditions may do. */
static uint32_t may_update(const struct bars *bars, const int32_t *conditions, int32_t count)
{
    uint32_t updates = BARS_ALL;
    for (int32_t i = 0; i < count; i++)
        if ((uint32_t)conditions[i] < BARS_CONDITIONS)
            updates &= bars->config.may_update[conditions[i]];
    return updates;
}

/* Puts a trade that is late into the bar where it belongs by its time. As put_trade(). */
static int correct_bar(struct bar *bar, const struct trade *trade)
{
    const struct bar before = *bar;
    if (put_trade(bar, trade))
        return -1;
    if (!(trade->updates & BARS_OPEN_CLOSE) || isnan(before.open))
        return 0;
    if (trade->time_ms < before.open_ms) {
        bar->open = trade->price;
        bar->open_ms = trade->time_ms;
    }
    if (trade->time_ms < before.close_ms) {
        bar->close = before.close;
        bar->close_ms = before.close_ms;
    }
    return 0;
}

static int give(struct bars *bars, const struct bar *bar)
{
    struct bar *given = grow(bars->given, &bars->given_capacity, bars->given_count + 1, GIVEN_AT_FIRST, sizeof *given);
    if (!given)
        return -1;
    bars->given = given;
    bars->given[bars->given_count++] = *bar;
    return 0;
}

/* Keeps the symbol's bar in its history, in place of the oldest, if need be. */
static int keep(struct bars *bars, struct symbol_bars *symbol)
{
    const uint32_t history = bars->config.history;
    if (!symbol->ring)
        symbol->ring = calloc(history, sizeof *symbol->ring);
    if (!symbol->ring)
        return -1;
    symbol->newest = symbol->kept ? (symbol->newest + 1) % history : 0;
    symbol->kept += symbol->kept < history;
    struct bar *place = &symbol->ring[symbol->newest];
    if (place->is_dirty && give(bars, place))
        return -1;
    *place = symbol->open;
    place->revision++;
    return 0;
}

static int close_bar(struct bars *bars, struct symbol_bars *symbol)
{
    symbol->is_open = 0;
    if (give(bars, &symbol->open))
        return -1;
    bars->counters.bars_total++;
    return bars->config.history ? keep(bars, symbol) : 0;
}

/* Finds a closed bar that may still be corrected. NULL where it is not kept. */
static struct bar *find_kept(const struct bars *bars, struct symbol_bars *symbol, int64_t interval)
{
    for (uint32_t i = 0; i < symbol->kept; i++) {
        struct bar *bar = &symbol->ring[(symbol->newest + bars->config.history - i) % bars->config.history];
        if (bar->interval.number == interval)
            return bar;
    }
    return NULL;
}

/* Takes a trade that belongs to an interval before that of its symbol's open bar. */
static int take_late(struct bars *bars, struct symbol_bars *symbol, int64_t interval, const struct trade *trade)
{
    struct bar *bar = find_kept(bars, symbol, interval);
    if (!bar) {
        bars->counters.late_total++;
        return 0;
    }
    if (correct_bar(bar, trade)) {
        bars->counters.unusable_total++;
        return 0;
    }
    if (bar->is_dirty)
        return 0;
    bar->is_dirty = 1;
    uint32_t *dirty = grow(bars->dirty, &bars->dirty_capacity, bars->dirty_count + 1, DIRTY_AT_FIRST, sizeof *dirty);
    if (!dirty)
        return -1;
    bars->dirty = dirty;
    bars->dirty[bars->dirty_count++] = bar->symbol;
    return 0;
}

/* Gives out the bars that were corrected, each once. */
static int give_corrections(struct bars *bars)
{
    for (size_t i = 0; i < bars->dirty_count; i++) {
        struct symbol_bars *symbol = &bars->symbols[bars->dirty[i]];
        for (uint32_t j = 0; j < symbol->kept; j++) {
            struct bar *bar = &symbol->ring[j];
            if (!bar->is_dirty)
                continue;
            bar->is_dirty = 0;
            if (give(bars, bar))
                return -1;
            bar->revision++;
        }
    }
    bars->dirty_count = 0;
    return 0;
}

static struct symbol_bars *symbol_of(struct bars *bars, uint32_t code)
{
    if (code < bars->symbols_capacity)
        return &bars->symbols[code];
    size_t capacity = bars->symbols_capacity;
    struct symbol_bars *symbols = grow(bars->symbols, &capacity, (size_t)code + 1, SYMBOLS_AT_FIRST, sizeof *symbols);
    if (!symbols)
        return NULL;
    memset(symbols + bars->symbols_capacity, 0, (capacity - bars->symbols_capacity) * sizeof *symbols);
    bars->symbols = symbols;
    bars->symbols_capacity = (uint32_t)capacity;
    return &bars->symbols[code];
}

static int take_trade(struct bars *bars, uint32_t code, const struct trade *trade)
{
    struct symbol_bars *symbol = symbol_of(bars, code);
    const struct interval *interval = interval_of(&bars->intervals, trade->time_ms);
    if (!symbol)
        return -1;
    if (symbol->is_open && interval->number < symbol->open.interval.number)
        return take_late(bars, symbol, interval->number, trade);
    if (symbol->is_open && interval->number > symbol->open.interval.number && close_bar(bars, symbol))
        return -1;
    if (!symbol->is_open) {
        begin_bar(&symbol->open, code, interval);
        symbol->is_open = 1;
    }
    bars->counters.unusable_total += put_trade(&symbol->open, trade) < 0;
    return 0;
}

/* Sizes as they are read: mantissas and exponents of ten. */
struct sizes {
    const int64_t *mantissa;
    const int16_t *exponent;
    uint32_t bit; /* of the column, in `present` */
};

/* The columns of a source, as they are read. */
struct trade_columns {
    const uint32_t *present;
    const int32_t *symbol;
    const int64_t *time_ms;
    const double *price;
    struct sizes size, decimal_size;
    const int32_t *condition_offsets, *conditions;
    uint32_t needed; /* bits of the columns without which a trade is unusable */
};

static uint32_t bit_of(int8_t column)
{
    return column < 0 ? 0 : UINT32_C(1) << column;
}

static const void *values_of(const struct source *source, int8_t column)
{
    return column < 0 ? NULL : source->table->column[column].values;
}

static const void *more_of(const struct source *source, int8_t column)
{
    return column < 0 ? NULL : source->table->column[column].more;
}

static struct trade_columns columns_of(const struct source *source)
{
    const struct bars_columns *columns = &source->columns;
    return (struct trade_columns){
        .present = source->table->present,
        .symbol = values_of(source, columns->symbol),
        .time_ms = values_of(source, columns->time),
        .price = values_of(source, columns->price),
        .size = {values_of(source, columns->size), more_of(source, columns->size), bit_of(columns->size)},
        .decimal_size = {values_of(source, columns->decimal_size), more_of(source, columns->decimal_size), bit_of(columns->decimal_size)},
        .condition_offsets = values_of(source, columns->conditions),
        .conditions = more_of(source, columns->conditions),
        .needed = bit_of(columns->symbol) | bit_of(columns->time) | bit_of(columns->price),
    };
}

/* mantissa * 10^exponent as a volume; what is behind its last place is cut off. Returns 0, or -1 where it is more than a bar can hold. */
static int volume_of(int64_t mantissa, int exponent, bar_volume *volume)
{
    *volume = mantissa;
    for (; exponent > 0 && *volume; exponent--)
        if (__builtin_mul_overflow(*volume, 10, volume))
            return -1;
    for (; exponent < -BAR_VOLUME_PLACES && *volume; exponent++)
        *volume /= 10;
    return *volume && __builtin_mul_overflow(*volume, (bar_volume)number_powers_64[BAR_VOLUME_PLACES + exponent], volume) ? -1 : 0;
}

/* Reads the size of a trade. Returns 0, or -1 where it has none, or one that a bar can't hold. */
static int read_size(const struct trade_columns *columns, uint32_t row, struct trade *trade)
{
    const struct sizes *sizes = columns->present[row] & columns->decimal_size.bit ? &columns->decimal_size : &columns->size;
    if (!(columns->present[row] & sizes->bit))
        return -1;
    const int64_t mantissa = sizes->mantissa[row];
    const int exponent = sizes->exponent[row];
    if (volume_of(mantissa, exponent, &trade->volume))
        return -1;
    const int is_quotient = exponent <= 0 && exponent >= -BAR_VOLUME_PLACES;
    trade->size = is_quotient ? (double)mantissa / number_powers[-exponent] : bar_volume_as_double(trade->volume);
    return 0;
}

/* Returns -1 where there is no memory. */
static int take_row(struct bars *bars, const struct trade_columns *columns, uint32_t row)
{
    struct trade trade = {.price = columns->price[row], .time_ms = columns->time_ms[row], .updates = BARS_ALL};
    if ((columns->present[row] & columns->needed) != columns->needed || read_size(columns, row, &trade) || trade.time_ms > TIME_MAX_MS ||
        trade.time_ms < -TIME_MAX_MS) {
        bars->counters.unusable_total++;
        return 0;
    }
    if (columns->condition_offsets) {
        const int32_t begin = columns->condition_offsets[row];
        trade.updates = may_update(bars, columns->conditions + begin, columns->condition_offsets[row + 1] - begin);
    }
    return trade.updates ? take_trade(bars, (uint32_t)columns->symbol[row], &trade) : 0;
}

static int take_in_turn(struct bars *bars)
{
    for (size_t i = 0; i < bars->source_count; i++) {
        const struct trade_columns columns = columns_of(&bars->sources[i]);
        for (uint32_t row = 0; row < bars->sources[i].table->rows; row++)
            if (take_row(bars, &columns, row))
                return -1;
    }
    return 0;
}

static int take_merged(struct bars *bars)
{
    size_t count = 0, filled = 0;
    for (size_t i = 0; i < bars->source_count; i++)
        count += bars->sources[i].table->rows;
    if (count == 0)
        return 0;
    struct trade_ref *refs = grow(bars->refs, &bars->refs_capacity, 2 * count, 4096, sizeof *refs);
    struct trade_columns *columns = malloc((bars->source_count + 1) * sizeof *columns);
    if (refs)
        bars->refs = refs;
    int rc = refs && columns ? 0 : -1;
    for (uint32_t i = 0; rc == 0 && i < bars->source_count; i++) {
        columns[i] = columns_of(&bars->sources[i]);
        for (uint32_t row = 0; row < bars->sources[i].table->rows; row++)
            refs[filled++] = (struct trade_ref){columns[i].time_ms[row], i, row};
    }
    if (rc == 0)
        sort_refs(refs, refs + count, count);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = take_row(bars, &columns[refs[i].source], refs[i].row);
    free(columns);
    return rc;
}

int64_t bars_take(struct bars *bars, int is_merged)
{
    bars->given_count = 0;
    const int rc = is_merged ? take_merged(bars) : take_in_turn(bars);
    bars->source_count = 0;
    return rc || give_corrections(bars) ? -1 : (int64_t)bars->given_count;
}

static const uint8_t *symbol_text(const struct columns_decoder *decoder, const struct bar *bar, size_t *length)
{
    return columns_symbol(decoder, bar->symbol, length);
}

/* Of two bars, which is before the other: by time, then by symbol. */
static int compare_bars(const void *one, const void *other, void *decoder)
{
    const struct bar *left = one, *right = other;
    size_t left_bytes, right_bytes;
    if (left->interval.number != right->interval.number)
        return left->interval.number < right->interval.number ? -1 : 1;
    const uint8_t *left_text = symbol_text(decoder, left, &left_bytes), *right_text = symbol_text(decoder, right, &right_bytes);
    const int order = memcmp(left_text, right_text, left_bytes < right_bytes ? left_bytes : right_bytes);
    return order ? order : (left_bytes > right_bytes) - (left_bytes < right_bytes);
}

int64_t bars_finish(struct bars *bars, const struct columns_decoder *decoder)
{
    bars->given_count = 0;
    for (uint32_t code = 0; code < bars->symbols_capacity; code++) {
        struct symbol_bars *symbol = &bars->symbols[code];
        if (symbol->is_open && close_bar(bars, symbol))
            return -1;
    }
    if (bars->given_count)
        qsort_r(bars->given, bars->given_count, sizeof *bars->given, compare_bars, (void *)(uintptr_t)decoder);
    return (int64_t)bars->given_count;
}

size_t bars_given(const struct bars *bars)
{
    return bars->given_count;
}

size_t bars_lines(const struct bars *bars, const struct columns_decoder *decoder, size_t *next, char *to, size_t room)
{
    size_t used = 0;
    for (; *next < bars->given_count; ++*next) {
        const struct bar *bar = &bars->given[*next];
        size_t length;
        const uint8_t *symbol = symbol_text(decoder, bar, &length);
        if (room - used < bar_line_max_bytes(length))
            break;
        used += bar_line(to + used, bar, symbol, length);
    }
    return used;
}

void bars_counters(const struct bars *bars, struct bars_counters *counters)
{
    *counters = bars->counters;
}
