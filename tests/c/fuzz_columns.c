/* Whatever the records are, and whatever comes before them: the fast path, in each kind of vectors, has the exact decoder's rows. Neither
 * reads a byte outside of what it is given.
 *
 * Input: a byte that chooses columns, one that says how many records a block has room for, and records, a line each. */
#include "decoder.h"
#include "fill.h"
#include "input.h"

enum { RECORDS_MAX = 64, ROWS = 24, LINES_MAX_BYTES = 8192, TEXT_BYTES = LINES_MAX_BYTES /* room for any record */ };

struct lines {
    uint32_t count;
    struct {
        const uint8_t *bytes;
        size_t length;
    } line[RECORDS_MAX];
};

static void add_column(struct columns_event *event, const char *name, const char *member, enum columns_kind kind)
{
    strcpy(event->column[event->columns].name, name);
    strcpy(event->column[event->columns].member, member);
    event->column[event->columns++].kind = kind;
}

static void describe(struct columns_event events[2], uint8_t choice)
{
    memset(events, 0, 2 * sizeof *events);
    strcpy(events[0].name, "T");
    strcpy(events[1].name, "LULD");
    for (int i = 0; i < 2; i++) {
        const char *symbol = i ? "T" : "sym", *decimal = i ? "h" : "p";
        if (choice & 1)
            add_column(&events[i], symbol, symbol, COLUMNS_SYMBOL);
        if (choice & 2)
            add_column(&events[i], decimal, decimal, COLUMNS_FLOAT64);
        if (choice & 4)
            add_column(&events[i], "exact", decimal, COLUMNS_EXACT);
        if (choice & 8)
            add_column(&events[i], "i", "i", i ? COLUMNS_INTS : COLUMNS_TEXT);
        if (choice & 16)
            add_column(&events[i], "x", "x", COLUMNS_INT32);
        if (choice & 32)
            add_column(&events[i], "t", "t", COLUMNS_INT64);
        if (choice & 64)
            add_column(&events[i], "c", "c", COLUMNS_INTS);
        if (choice & 128)
            add_column(&events[i], "otc", "otc", COLUMNS_BOOL);
    }
}

static struct lines cut(const uint8_t *bytes, size_t size)
{
    struct lines lines = {0};
    const uint8_t *end = bytes + size;
    while (bytes < end && lines.count < RECORDS_MAX) {
        const uint8_t *line_end = memchr(bytes, '\n', (size_t)(end - bytes));
        line_end = line_end ? line_end : end;
        lines.line[lines.count].bytes = bytes;
        lines.line[lines.count++].length = (size_t)(line_end - bytes);
        bytes = line_end + 1;
    }
    return lines;
}

static size_t frame(const struct lines *lines, uint8_t *frames)
{
    size_t at = 0;
    for (uint32_t i = 0; i < lines->count; i++) {
        const uint32_t length = htole32((uint32_t)lines->line[i].length);
        memcpy(frames + at, &length, sizeof length);
        if (lines->line[i].length)
            memcpy(frames + at + sizeof length, lines->line[i].bytes, lines->line[i].length);
        at += sizeof length + lines->line[i].length;
    }
    return at;
}

static int symbols_are_same(const struct columns_decoder *one, int32_t code, const struct columns_decoder *other, int32_t other_code)
{
    size_t length, other_length;
    const uint8_t *symbol = columns_symbol(one, (uint32_t)code, &length);
    const uint8_t *other_symbol = columns_symbol(other, (uint32_t)other_code, &other_length);
    return length == other_length && !memcmp(symbol, other_symbol, length);
}

/* Rows of `one` from 0 on are those of `other` from `row` on. */
static void compare_column(const struct columns_decoder *decoders[2], const struct columns_column *one, const struct columns_column *other,
                           uint32_t row, uint32_t rows)
{
    for (uint32_t i = 0; i < rows; i++) {
        const uint32_t j = row + i;
        const int32_t *small = one->values, *other_small = other->values;
        const int64_t *large = one->values, *other_large = other->values;
        switch ((enum columns_kind)one->kind) {
        case COLUMNS_SYMBOL: REQUIRE(symbols_are_same(decoders[0], small[i], decoders[1], other_small[j])); break;
        case COLUMNS_INT32: REQUIRE(small[i] == other_small[j]); break;
        case COLUMNS_EXACT: REQUIRE(((int16_t *)one->more)[i] == ((int16_t *)other->more)[j]); /* fall through */
        case COLUMNS_FLOAT64: /* all their bits */
        case COLUMNS_INT64: REQUIRE(large[i] == other_large[j]); break;
        case COLUMNS_BOOL: REQUIRE(((int8_t *)one->values)[i] == ((int8_t *)other->values)[j]); break;
        case COLUMNS_TEXT:
        case COLUMNS_INTS: {
            const size_t item = one->kind == COLUMNS_INTS ? sizeof(int32_t) : 1, length = (size_t)(small[i + 1] - small[i]);
            REQUIRE(small[i + 1] >= small[i] && length == (size_t)(other_small[j + 1] - other_small[j]));
            REQUIRE(!memcmp((uint8_t *)one->more + (size_t)small[i] * item, (uint8_t *)other->more + (size_t)other_small[j] * item,
                            length * item));
            break;
        }
        }
    }
}

/* What the exact decoder made of all records, and how far the blocks of the fast path have been compared with it. */
struct expectation {
    struct columns_decoder *decoder;
    struct columns_block *block;
    uint32_t rows[COLUMNS_EVENTS_MAX];
    uint32_t others;
};

static void compare(struct expectation *expected, const struct columns_decoder *decoder, const struct columns_block *block)
{
    const struct columns_decoder *decoders[2] = {decoder, expected->decoder};
    for (uint32_t number = 0; number < block->tables; number++) {
        const struct columns_table *one = &block->table[number], *other = &expected->block->table[number];
        const uint32_t row = expected->rows[number];
        REQUIRE(row + one->rows <= other->rows);
        REQUIRE(!memcmp(one->present, other->present + row, one->rows * sizeof *one->present));
        for (uint32_t i = 0; i < one->columns; i++)
            compare_column(decoders, &one->column[i], &other->column[i], row, one->rows);
        expected->rows[number] += one->rows;
    }
    const struct columns_others *one = &block->others, *other = &expected->block->others;
    const uint32_t first = expected->others;
    REQUIRE(first + one->records <= other->records);
    REQUIRE(!memcmp(one->why, other->why + first, one->records));
    const size_t bytes = (size_t)one->offsets[one->records];
    REQUIRE(bytes == (size_t)(other->offsets[first + one->records] - other->offsets[first]));
    REQUIRE(bytes == 0 || !memcmp(one->bytes, other->bytes + other->offsets[first], bytes));
    expected->others += one->records;
}

static void decode(struct expectation *expected, struct columns_decoder *decoder, const uint8_t *frames, size_t length, uint32_t rows)
{
    memset(expected->rows, 0, sizeof expected->rows);
    expected->others = 0;
    for (int full = 1; full;) {
        size_t consumed = 0;
        struct columns_block *block = columns_block_new(decoder, rows, TEXT_BYTES);
        REQUIRE(block);
        full = columns_decode(decoder, block, guarded(frames, length, 0), length, &consumed);
        REQUIRE(full >= 0 && consumed <= length && (full || consumed == length));
        REQUIRE(block->records > 0 || !full);
        compare(expected, decoder, block);
        frames += consumed;
        length -= consumed;
        columns_block_release(block);
    }
    for (uint32_t number = 0; number < expected->block->tables; number++)
        REQUIRE(expected->rows[number] == expected->block->table[number].rows);
    REQUIRE(expected->others == expected->block->others.records);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t frames[LINES_MAX_BYTES + RECORDS_MAX * sizeof(uint32_t)];
    struct columns_event events[2];
    if (size < 2 || size - 2 > LINES_MAX_BYTES)
        return 0;
    describe(events, data[0]);
    const struct lines lines = cut(data + 2, size - 2);
    const size_t length = frame(&lines, frames);
    struct expectation expected = {.decoder = columns_new(events, 2, COLUMNS_BASELINE)};
    REQUIRE(expected.decoder);
    expected.block = columns_block_new(expected.decoder, RECORDS_MAX, LINES_MAX_BYTES);
    REQUIRE(expected.block);
    for (uint32_t i = 0; i < lines.count; i++) {
        uint32_t event;
        const uint8_t *record = guarded(lines.line[i].bytes, lines.line[i].length, 0);
        const int rc = fill_record(expected.decoder, expected.block, record, lines.line[i].length, &event);
        REQUIRE(rc == FILL_ROW || rc == FILL_OTHER);
    }
    for (uint32_t vectors = COLUMNS_BASELINE; vectors <= COLUMNS_AVX512; vectors++) {
        struct columns_decoder *decoder = columns_new(events, 2, vectors);
        REQUIRE(decoder);
        for (int times = 0; times < 2; times++) /* the second time it knows all layouts */
            decode(&expected, decoder, frames, length, 1 + data[1] % ROWS);
        columns_free(decoder);
    }
    columns_block_release(expected.block);
    columns_free(expected.decoder);
    return 0;
}
