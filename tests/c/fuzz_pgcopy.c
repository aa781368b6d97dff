/* Whatever the records are: each row for PostgreSQL has its fields, each field its length, and nothing is written outside of the room given.
 *
 * Input: a byte that chooses time zone, unit of times and what stands for null, one that says how much room there is, and records, a line
 * each. */
#include "pgcopy.h"
#include "input.h"

#include <endian.h>

enum { ROWS = 64, TEXT_BYTES = 8192 };

static void add_column(struct columns_event *event, const char *name, enum columns_kind kind)
{
    strcpy(event->column[event->columns].name, name);
    strcpy(event->column[event->columns].member, name);
    event->column[event->columns++].kind = kind;
}

static struct columns_decoder *any_decoder(void)
{
    struct columns_event event = {.name = "T"};
    add_column(&event, "sym", COLUMNS_SYMBOL);
    add_column(&event, "i", COLUMNS_TEXT);
    add_column(&event, "x", COLUMNS_INT32);
    add_column(&event, "p", COLUMNS_FLOAT64);
    add_column(&event, "c", COLUMNS_INTS);
    add_column(&event, "t", COLUMNS_INT64);
    add_column(&event, "q", COLUMNS_INT64);
    add_column(&event, "otc", COLUMNS_BOOL);
    return columns_new(&event, 1, COLUMNS_AVX512);
}

static struct pgcopy *any_copy(uint8_t choice)
{
    static const int64_t from_ms[] = {INT64_MIN, 1600000000000, 1781622376500}, offset_ms[] = {-18000000, -14400000, 50400000};
    struct pgcopy_config config = {.time = 5, .units_per_ms = choice & 1 ? 1000000 : 1, .zero = choice & 2 ? 0xFF : 0};
    config.id = choice & 4 ? 1 : PGCOPY_NONE;
    config.number = choice & 8 ? 6 : PGCOPY_NONE;
    return pgcopy_new(&config, from_ms, offset_ms, choice >> 4 & 3);
}

static uint8_t *frame_lines(const uint8_t *bytes, size_t size, size_t *used)
{
    uint8_t *frames = malloc(5 * TEXT_BYTES);
    *used = 0;
    for (const uint8_t *end = bytes + size, *line = bytes; line < end;) {
        const uint8_t *line_end = memchr(line, '\n', (size_t)(end - line));
        line_end = line_end ? line_end : end;
        const uint32_t length = htole32((uint32_t)(line_end - line));
        memcpy(frames + *used, &length, sizeof length);
        memcpy(frames + *used + sizeof length, line, (size_t)(line_end - line));
        *used += sizeof length + (size_t)(line_end - line);
        line = line_end + 1;
    }
    return frames;
}

/* Returns how many whole rows the bytes are. */
static uint32_t count_rows(const uint8_t *at, const uint8_t *end)
{
    uint32_t rows = 0;
    for (; at < end; rows++) {
        uint16_t fields;
        memcpy(&fields, at, sizeof fields);
        REQUIRE(be16toh(fields) == 9);
        at += sizeof fields;
        for (int i = 0; i < 9; i++) {
            uint32_t length;
            REQUIRE((size_t)(end - at) >= sizeof length);
            memcpy(&length, at, sizeof length);
            length = be32toh(length);
            at += sizeof length + (length == UINT32_MAX ? 0 : length);
            REQUIRE(at <= end);
        }
    }
    return rows;
}

static void read_rows(struct pgcopy *copy, const struct columns_decoder *decoder, struct columns_block *block, size_t room)
{
    const uint32_t rows = columns_block_table(block, 0)->rows;
    uint32_t row = 0;
    while (row < rows) {
        const uint32_t before = row;
        uint8_t *bytes = malloc(room); /* behind which the sanitizer looks */
        const size_t used = pgcopy_rows(copy, decoder, block, 0, &row, bytes, room);
        REQUIRE(used <= room && row <= rows && count_rows(bytes, bytes + used) == row - before);
        free(bytes);
        room = used ? room : room * 2 + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > TEXT_BYTES)
        return 0;
    struct columns_decoder *decoder = any_decoder();
    struct columns_block *block = columns_block_new(decoder, ROWS, TEXT_BYTES);
    struct pgcopy *copy = any_copy(data[0]);
    REQUIRE(decoder && block && copy);
    size_t length;
    uint8_t *frames = frame_lines(data + 2, size - 2, &length);
    int rc = COLUMNS_FULL;
    for (size_t at = 0, consumed; rc == COLUMNS_FULL && at < length; at += consumed) {
        columns_block_clear(block);
        rc = columns_decode(decoder, block, frames + at, length - at, &consumed);
        REQUIRE(rc >= 0);
        read_rows(copy, decoder, block, data[1] * 8u);
    }
    free(frames);
    pgcopy_free(copy);
    columns_block_release(block);
    columns_free(decoder);
    return 0;
}
