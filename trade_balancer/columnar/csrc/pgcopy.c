#include "pgcopy.h"
#include "decoder.h"
#include "intervals.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    MS_PER_DAY = 86400000,
    FIRST_DAY = -719162,  /* 0001-01-01, in days since 1970: as far as calendars go that others have */
    LAST_DAY = 2932896,   /* 9999-12-31 */
    EPOCH_DAYS = 10957,   /* from 1970-01-01 to 2000-01-01, from which PostgreSQL's dates count */
    INT4_OID = 23,        /* pg_type.dat */
    LENGTH_BYTES = 4,
    NUMBER_BYTES = 24,    /* of "q" and any number; the head of a list has less, and so has any value of one width */
    ITEM_BYTES = 8,
    REPLACED_BYTES = 3    /* U+FFFD for a zero byte */
};

struct pgcopy {
    struct pgcopy_config config;
    struct intervals days;
};

/* What a row is made of. */
struct source {
    const struct pgcopy *copy;
    const struct columns_decoder *decoder;
    const struct columns_table *table;
    uint32_t row;
};

struct text {
    const uint8_t *bytes;
    size_t length;
};

struct pgcopy *pgcopy_new(const struct pgcopy_config *config, const int64_t *from_ms, const int64_t *offset_ms, uint32_t offsets)
{
    struct pgcopy *copy = calloc(1, sizeof *copy);
    if (!copy)
        return NULL;
    copy->config = *config;
    copy->days.length_ms = MS_PER_DAY;
    if (intervals_set_zone(&copy->days, from_ms, offset_ms, offsets) == 0)
        return copy;
    free(copy);
    return NULL;
}

void pgcopy_free(struct pgcopy *copy)
{
    intervals_free(&copy->days);
    free(copy);
}

static int has_value(const struct source *source, int32_t column)
{
    return source->table->present[source->row] >> column & 1;
}

static uint8_t *put_16(uint8_t *to, uint16_t number)
{
    number = htobe16(number);
    memcpy(to, &number, sizeof number);
    return to + sizeof number;
}

static uint8_t *put_32(uint8_t *to, uint32_t number)
{
    number = htobe32(number);
    memcpy(to, &number, sizeof number);
    return to + sizeof number;
}

static uint8_t *put_64(uint8_t *to, uint64_t number)
{
    number = htobe64(number);
    memcpy(to, &number, sizeof number);
    return to + sizeof number;
}

static uint8_t *put_null(uint8_t *to)
{
    return put_32(to, UINT32_MAX);
}

static uint8_t *put_text(uint8_t *to, struct text text)
{
    uint8_t *end = to + LENGTH_BYTES;
    if (!memchr(text.bytes, 0, text.length)) {
        memcpy(end, text.bytes, text.length);
        end += text.length;
    } else {
        for (size_t i = 0; i < text.length; i++) {
            memcpy(end, text.bytes[i] ? (const uint8_t[REPLACED_BYTES]){text.bytes[i]} : (const uint8_t *)"\xEF\xBF\xBD", REPLACED_BYTES);
            end += text.bytes[i] ? 1 : REPLACED_BYTES;
        }
    }
    put_32(to, (uint32_t)(end - to - LENGTH_BYTES));
    return end;
}

static struct text text_of(const struct source *source, const struct columns_column *column)
{
    const int32_t *values = column->values;
    if (column->kind == COLUMNS_TEXT)
        return (struct text){(const uint8_t *)column->more + values[source->row], (size_t)(values[source->row + 1] - values[source->row])};
    const struct symbol_store *store = source->decoder->symbols.store;
    const int32_t *offset = &store->offsets[values[source->row]];
    return (struct text){store->bytes + offset[0], (size_t)(offset[1] - offset[0])};
}

/* The day of the row's time, as a date; null where it has none, or no calendar has it. */
static uint8_t *put_day(uint8_t *to, struct intervals *days, const struct source *source)
{
    const struct pgcopy_config *config = &source->copy->config;
    const int64_t *times = source->table->column[config->time].values;
    const int64_t units = times[source->row], time_ms = units / config->units_per_ms - (units % config->units_per_ms < 0);
    if (!has_value(source, config->time) || time_ms < (FIRST_DAY - 2) * (int64_t)MS_PER_DAY || time_ms > (LAST_DAY + 2) * (int64_t)MS_PER_DAY)
        return put_null(to);
    const int64_t day = interval_of(days, time_ms)->number;
    if (day < FIRST_DAY || day > LAST_DAY)
        return put_null(to);
    return put_32(put_32(to, sizeof(int32_t)), (uint32_t)(int32_t)(day - EPOCH_DAYS));
}

static uint8_t *put_list(uint8_t *to, const struct source *source, const struct columns_column *column)
{
    const int32_t *offsets = (const int32_t *)column->values + source->row, *items = (const int32_t *)column->more + offsets[0];
    const uint32_t count = (uint32_t)(offsets[1] - offsets[0]);
    uint8_t *end = put_32(to + LENGTH_BYTES, count ? 1 : 0); /* dimensions */
    end = put_32(end, 0);                                    /* no item is null */
    end = put_32(end, INT4_OID);
    if (count)
        end = put_32(put_32(end, count), 1); /* the first one's index */
    for (uint32_t i = 0; i < count; i++)
        end = put_32(put_32(end, sizeof *items), (uint32_t)items[i]);
    put_32(to, (uint32_t)(end - to - LENGTH_BYTES));
    return end;
}

/* What stands for an id that the row has not. */
static uint8_t *put_number(uint8_t *to, const struct source *source)
{
    const int32_t number = source->copy->config.number;
    if (number == PGCOPY_NONE || !has_value(source, number))
        return put_null(to);
    char text[NUMBER_BYTES];
    const int length = snprintf(text, sizeof text, "q%lld", (long long)((const int64_t *)source->table->column[number].values)[source->row]);
    return put_text(to, (struct text){(const uint8_t *)text, (size_t)length});
}

static uint8_t *put_field(uint8_t *to, const struct source *source, int32_t number)
{
    const struct columns_column *column = &source->table->column[number];
    const struct pgcopy_config *config = &source->copy->config;
    uint64_t bits;
    if (!has_value(source, number) && !(config->zero >> number & 1))
        return number == config->id ? put_number(to, source) : put_null(to);
    switch ((enum columns_kind)column->kind) {
    case COLUMNS_SYMBOL:
    case COLUMNS_TEXT: return put_text(to, text_of(source, column));
    case COLUMNS_INT32: return put_32(put_32(to, sizeof(int32_t)), (uint32_t)((const int32_t *)column->values)[source->row]);
    case COLUMNS_EXACT: /* no table of Python's has one */
    case COLUMNS_INT64: return put_64(put_32(to, sizeof(int64_t)), (uint64_t)((const int64_t *)column->values)[source->row]);
    case COLUMNS_FLOAT64:
        memcpy(&bits, (const double *)column->values + source->row, sizeof bits);
        return put_64(put_32(to, sizeof bits), bits);
    case COLUMNS_INTS: return put_list(to, source, column);
    case COLUMNS_BOOL:
        to = put_32(to, 1);
        *to = (uint8_t)((const int8_t *)column->values)[source->row];
        return to + 1;
    }
    return put_null(to);
}

/* How many bytes the row takes at most. */
static size_t most_bytes(const struct source *source)
{
    size_t bytes = sizeof(uint16_t) + (source->table->columns + 1) * (size_t)(LENGTH_BYTES + NUMBER_BYTES);
    for (uint32_t i = 0; i < source->table->columns; i++) {
        const struct columns_column *column = &source->table->column[i];
        if (column->kind == COLUMNS_SYMBOL || column->kind == COLUMNS_TEXT)
            bytes += REPLACED_BYTES * text_of(source, column).length;
        else if (column->kind == COLUMNS_INTS)
            bytes += ITEM_BYTES * (size_t)(((const int32_t *)column->values)[source->row + 1] - ((const int32_t *)column->values)[source->row]);
    }
    return bytes;
}

size_t pgcopy_rows(struct pgcopy *copy, const struct columns_decoder *decoder, struct columns_block *block, uint32_t event, uint32_t *row,
                   uint8_t *to, size_t room)
{
    struct source source = {copy, decoder, columns_block_table(block, event), *row};
    uint8_t *end = to;
    for (; source.row < source.table->rows && most_bytes(&source) <= room - (size_t)(end - to); source.row++) {
        end = put_16(end, (uint16_t)(source.table->columns + 1));
        end = put_day(end, &copy->days, &source);
        for (int32_t i = 0; i < (int32_t)source.table->columns; i++)
            end = put_field(end, &source, i);
    }
    *row = source.row;
    return (size_t)(end - to);
}
