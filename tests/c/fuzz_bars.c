/* Whatever the trades are: bars are made without a read outside of what there is, every line is whole, and no trade is counted twice or lost.
 *
 * Input: a byte that chooses interval, history, conditions and time zone, one that says how many lines are taken at a time and whether they
 * are merged, and records, a line each. */
#include "bars.h"
#include "input.h"

enum { ROWS = 64, TEXT_BYTES = 8192, ROOM_BYTES = 16384 };

static void add_column(struct columns_event *event, const char *name, const char *member, enum columns_kind kind)
{
    strcpy(event->column[event->columns].name, name);
    strcpy(event->column[event->columns].member, member);
    event->column[event->columns++].kind = kind;
}

static struct columns_decoder *trades_decoder(void)
{
    struct columns_event event = {.name = "T"};
    add_column(&event, "sym", "sym", COLUMNS_SYMBOL);
    add_column(&event, "t", "t", COLUMNS_INT64);
    add_column(&event, "p", "p", COLUMNS_FLOAT64);
    add_column(&event, "s.exact", "s", COLUMNS_EXACT);
    add_column(&event, "ds.exact", "ds", COLUMNS_EXACT);
    add_column(&event, "c", "c", COLUMNS_INTS);
    return columns_new(&event, 1, COLUMNS_AVX512);
}

static struct bars *any_bars(uint8_t choice)
{
    static const int64_t lengths_ms[] = {1000, 60000, 14400000, 86400000};
    static const int64_t from_ms[] = {0, 1600000000000, 1781622376500}, offset_ms[] = {-18000000, -14400000, 3600000};
    struct bars_config config = {.interval_ms = lengths_ms[choice % 4], .history = choice / 4 % 4};
    for (int i = 0; i < BARS_CONDITIONS; i++)
        config.may_update[i] = choice & 16 ? (uint8_t)(i % 8) : BARS_ALL;
    struct bars *bars = bars_new(&config);
    REQUIRE(bars);
    if (choice & 32)
        REQUIRE(bars_set_zone(bars, from_ms, offset_ms, 3) == 0);
    return bars;
}

/* Reads the lines of the bars that were given out. Returns how many trades those have that are no corrections. */
static uint64_t read_lines(const struct bars *bars, const struct columns_decoder *decoder)
{
    static char lines[ROOM_BYTES];
    uint64_t trades = 0;
    for (size_t next = 0, left = bars_given(bars); left;) {
        const size_t used = bars_lines(bars, decoder, &next, lines, sizeof lines - 1);
        if (!used)
            return UINT64_MAX; /* a symbol that has no room */
        REQUIRE(used < sizeof lines && lines[used - 1] == '\n');
        lines[used] = 0;
        for (char *line = lines, *end; *line; line = end + 1, left--) {
            end = strchr(line, '\n');
            *end = 0;
            const char *count = strstr(line, ",\"n\":");
            REQUIRE(line[0] == '{' && end[-1] == '}' && count && strstr(count, ",\"vw\":"));
            if (!strstr(count, ",\"rev\":"))
                trades += strtoull(count + 5, NULL, 10);
        }
    }
    return trades;
}

/* A frame of each line. */
static size_t frame_lines(const uint8_t *bytes, size_t size, uint8_t *frames)
{
    size_t used = 0;
    for (const uint8_t *end = bytes + size, *line = bytes; line < end;) {
        const uint8_t *line_end = memchr(line, '\n', (size_t)(end - line));
        line_end = line_end ? line_end : end;
        const uint32_t length = (uint32_t)(line_end - line);
        memcpy(frames + used, &length, sizeof length);
        memcpy(frames + used + sizeof length, line, length);
        used += sizeof length + length;
        line = line_end + 1;
    }
    return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t frames[5 * TEXT_BYTES];
    if (size < 2 || size > TEXT_BYTES)
        return 0;
    struct columns_decoder *decoder = trades_decoder();
    struct bars *bars = any_bars(data[0]);
    struct columns_block *block = columns_block_new(decoder, ROWS, TEXT_BYTES);
    REQUIRE(decoder && block);
    const struct bars_columns columns = {0, 1, 2, 3, 4, data[0] & 16 ? 5 : -1};
    const size_t length = frame_lines(data + 2, size - 2, frames);
    uint64_t rows = 0, written = 0;
    int is_told = 1, rc = COLUMNS_FULL;
    for (size_t at = 0, consumed; rc == COLUMNS_FULL && at < length; at += consumed) {
        columns_block_clear(block);
        rc = columns_decode(decoder, block, frames + at, length - at, &consumed);
        REQUIRE(rc >= 0);
        rows += columns_block_table(block, 0)->rows;
        REQUIRE(bars_add(bars, block, 0, &columns) == 0 && bars_take(bars, data[1] & 1) >= 0);
        const uint64_t trades = read_lines(bars, decoder);
        is_told &= trades != UINT64_MAX;
        written += trades;
    }
    REQUIRE(bars_finish(bars, decoder) >= 0);
    const uint64_t trades = read_lines(bars, decoder);
    struct bars_counters counters;
    bars_counters(bars, &counters);
    if (is_told && trades != UINT64_MAX && !(data[0] & 16) && data[0] / 4 % 4 == 0) /* all count, and none corrects */
        REQUIRE(written + trades + counters.late_total + counters.unusable_total == rows);
    columns_block_release(block);
    bars_free(bars);
    columns_free(decoder);
    return 0;
}
