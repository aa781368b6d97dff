#include "fill.h"
#include "json.h"
#include "number.h"

#include <errno.h>

/* What becomes of a value. */
enum outcome { ABSENT, WRITTEN, NO_FIT, NO_MEMORY };

enum { ESCAPED_MAX_BYTES = 256 }; /* of a string that has escapes: a symbol, or a number in quotes */

/* The value without escapes, resolved to `resolved`. Returns 0 where it is too long for that. */
static int resolve(const struct json_value *value, uint8_t *resolved, struct json_value *plain)
{
    *plain = *value;
    if (!value->has_escapes)
        return 1;
    if (value->length > ESCAPED_MAX_BYTES)
        return 0;
    plain->bytes = resolved;
    plain->length = json_unescape(value, resolved);
    return 1;
}

/* The number, or the one in quotes, that the value is. The bytes of `plain` may be in `resolved`. */
static int take_number(const struct json_value *value, uint8_t *resolved, struct json_value *plain)
{
    if (value->type == JSON_STRING)
        return resolve(value, resolved, plain) && plain->length && number_read(plain->bytes, plain->length, &plain->number) == plain->length;
    *plain = *value;
    return value->type == JSON_NUMBER;
}

static enum outcome put_integer(const struct columns_column *column, uint32_t row, const struct json_value *value)
{
    int64_t integer;
    if (value->type != JSON_NUMBER || !number_to_int64(&value->number, &integer))
        return NO_FIT;
    if (column->kind == COLUMNS_INT64) {
        ((int64_t *)column->values)[row] = integer;
        return WRITTEN;
    }
    if (integer < INT32_MIN || integer > INT32_MAX)
        return NO_FIT;
    ((int32_t *)column->values)[row] = (int32_t)integer;
    return WRITTEN;
}

static enum outcome put_double(const struct columns_column *column, uint32_t row, const struct json_value *value)
{
    uint8_t resolved[ESCAPED_MAX_BYTES];
    struct json_value plain;
    double nearest;
    if (!take_number(value, resolved, &plain) || !number_to_double(plain.bytes, plain.length, &plain.number, &nearest))
        return NO_FIT;
    ((double *)column->values)[row] = plain.number.is_integer && nearest == 0 ? 0 : nearest; /* an integer has no -0 */
    return WRITTEN;
}

static enum outcome put_exact(const struct columns_column *column, uint32_t row, const struct json_value *value)
{
    uint8_t resolved[ESCAPED_MAX_BYTES];
    struct json_value plain;
    const struct number *number = &plain.number;
    if (!take_number(value, resolved, &plain) || number->truncated || number->mantissa > INT64_MAX)
        return NO_FIT;
    const int64_t exponent = number->mantissa ? number->exponent : 0;
    if (exponent != (int16_t)exponent)
        return NO_FIT;
    ((int64_t *)column->values)[row] = number->negative ? -(int64_t)number->mantissa : (int64_t)number->mantissa;
    ((int16_t *)column->more)[row] = (int16_t)exponent;
    return WRITTEN;
}

static enum outcome put_text(const struct columns_column *column, uint32_t row, const struct json_value *value)
{
    int32_t *offsets = column->values;
    uint8_t *to = (uint8_t *)column->more + offsets[row];
    if (value->type != JSON_STRING && value->type != JSON_NUMBER)
        return NO_FIT;
    offsets[row + 1] = offsets[row] + (int32_t)json_unescape(value, to);
    return WRITTEN;
}

static enum outcome put_symbol(struct columns_decoder *decoder, const struct columns_column *column, uint32_t row,
                               const struct json_value *value)
{
    uint8_t resolved[ESCAPED_MAX_BYTES];
    struct json_value plain;
    if (value->type != JSON_STRING || !resolve(value, resolved, &plain))
        return NO_FIT;
    const int64_t code = symbols_intern(&decoder->symbols, plain.bytes, plain.length);
    if (code < 0)
        return NO_MEMORY;
    ((int32_t *)column->values)[row] = (int32_t)code;
    return WRITTEN;
}

/* A list of integers, or one that stands alone. */
static enum outcome put_integers(const struct columns_column *column, uint32_t row, const struct json_value *value)
{
    int32_t *offsets = column->values;
    const struct columns_column items = {.values = column->more, .kind = COLUMNS_INT32};
    if (value->type == JSON_NUMBER) {
        offsets[row + 1] = offsets[row] + 1;
        return put_integer(&items, (uint32_t)offsets[row], value);
    }
    if (value->type != JSON_ARRAY)
        return NO_FIT;
    struct json_reader reader = json_reader(value->bytes, value->length);
    struct json_value item;
    int32_t at = offsets[row];
    while (json_next_item(&reader, &item))
        if (put_integer(&items, (uint32_t)at++, &item) != WRITTEN)
            return NO_FIT;
    offsets[row + 1] = at;
    return WRITTEN;
}

static enum outcome put_value(struct columns_decoder *decoder, const struct columns_column *column, uint32_t row,
                              const struct json_value *value)
{
    if (value->type == JSON_NULL)
        return ABSENT;
    switch ((enum columns_kind)column->kind) {
    case COLUMNS_SYMBOL: return put_symbol(decoder, column, row, value);
    case COLUMNS_TEXT: return put_text(column, row, value);
    case COLUMNS_INT32:
    case COLUMNS_INT64: return put_integer(column, row, value);
    case COLUMNS_FLOAT64: return put_double(column, row, value);
    case COLUMNS_EXACT: return put_exact(column, row, value);
    case COLUMNS_INTS: return put_integers(column, row, value);
    case COLUMNS_BOOL:
        ((int8_t *)column->values)[row] = value->type == JSON_TRUE;
        return value->type == JSON_TRUE || value->type == JSON_FALSE ? WRITTEN : NO_FIT;
    }
    return NO_FIT;
}

void fill_init(struct event_words *words, const struct columns_event *event)
{
    const struct json_value name = {.bytes = (const uint8_t *)event->name, .length = strlen(event->name)};
    words->event = json_word(&name);
    for (uint32_t i = 0; i < event->columns; i++) {
        const char *member = event->column[i].member;
        words->member[i] = json_word(&(struct json_value){.bytes = (const uint8_t *)member, .length = strlen(member)});
    }
}

/* What was found in a record. */
struct found {
    uint32_t event;   /* the number of events: one without a table */
    uint32_t present; /* a bit for each column of the event that has a value */
    struct json_value value[COLUMNS_MAX];
};

static uint32_t event_of(const struct columns_decoder *decoder, const struct json_value *value)
{
    const uint64_t word = value->type == JSON_STRING ? json_word(value) : 0;
    uint32_t event = 0;
    while (event < decoder->events && decoder->words[event].event != word)
        event++;
    return word ? event : decoder->events;
}

/* Notes the value for the columns of that member; of members of one name, the last counts. */
static void find_columns(const struct columns_decoder *decoder, struct found *found, uint64_t word, const struct json_value *value)
{
    if (found->event == decoder->events || !word)
        return;
    const uint64_t *members = decoder->words[found->event].member;
    for (uint32_t i = 0; i < decoder->event[found->event].columns; i++)
        if (members[i] == word) {
            found->value[i] = *value;
            found->present |= UINT32_C(1) << i;
        }
}

/* Reads the whole record. Returns 0 where it is no object. */
static int read_record(const struct columns_decoder *decoder, const uint8_t *record, size_t length, struct found *found)
{
    const uint64_t ev = UINT64_C(0x7665); /* json_word() of it */
    struct json_reader reader = json_reader(record, length);
    struct json_value name, value;
    uint32_t members = 0, event = decoder->events;
    int rc, is_first = 1;
    found->event = decoder->events;
    found->present = 0;
    for (; (rc = json_next_member(&reader, &name, &value)) == 1; members++) {
        const uint64_t word = json_word(&name);
        if (word == ev) {
            event = event_of(decoder, &value);
            is_first = members == 0;
            found->event = is_first ? event : found->event;
        }
        find_columns(decoder, found, word, &value);
    }
    if (rc < 0)
        return 0;
    if (!is_first) { /* the event was not known, or another one, when the members before it were read */
        *found = (struct found){.event = event};
        reader = json_reader(record, length);
        while (json_next_member(&reader, &name, &value) == 1)
            find_columns(decoder, found, json_word(&name), &value);
    }
    return 1;
}

/* Writes the next row of the table. What is null is no longer present. */
static enum outcome put_row(struct columns_decoder *decoder, const struct columns_table *table, struct found *found)
{
    for (uint32_t i = 0; i < table->columns; i++) {
        const struct columns_column *column = &table->column[i];
        const uint32_t bit = UINT32_C(1) << i;
        const enum outcome outcome = found->present & bit ? put_value(decoder, column, table->rows, &found->value[i]) : ABSENT;
        if (outcome == NO_FIT || outcome == NO_MEMORY)
            return outcome;
        if (outcome == ABSENT) {
            column_set_null(column, table->rows);
            found->present &= ~bit;
        }
    }
    return WRITTEN;
}

static int fill_other(struct columns_decoder *decoder, struct columns_block *block, const uint8_t *record, size_t length,
                      enum columns_why why)
{
    if (block->others.records == block->rows_capacity)
        return FILL_NO_ROOM;
    if (block_add_other(block, record, length, why))
        return COLUMNS_ERR_MEMORY;
    decoder->counters.others_total++;
    decoder->counters.misfit_total += why == COLUMNS_MISFIT;
    decoder->counters.bad_total += why == COLUMNS_BAD;
    return FILL_OTHER;
}

/* Makes the row that was written the table's own. */
static void end_row(struct columns_block *block, struct columns_table *table, size_t record_bytes, uint32_t present)
{
    table->present[table->rows] = present;
    table->order[table->rows] = block->records++;
    table->all_present &= present;
    table->text_bytes += record_bytes;
    table->rows++;
}

int fill_record(struct columns_decoder *decoder, struct columns_block *block, const uint8_t *record, size_t length, uint32_t *event)
{
    struct found found;
    if (!read_record(decoder, record, length, &found))
        return fill_other(decoder, block, record, length, COLUMNS_BAD);
    *event = found.event;
    if (found.event == decoder->events)
        return fill_other(decoder, block, record, length, COLUMNS_OTHER_EVENT);
    if (length > block->text_capacity)
        return fill_other(decoder, block, record, length, COLUMNS_MISFIT);
    struct columns_table *table = &block->table[found.event];
    if (!table_has_room(block, table, length))
        return FILL_NO_ROOM;
    switch (put_row(decoder, table, &found)) {
    case NO_FIT: return fill_other(decoder, block, record, length, COLUMNS_MISFIT);
    case NO_MEMORY: errno = ENOMEM; return COLUMNS_ERR_MEMORY;
    default: break;
    }
    end_row(block, table, length, found.present);
    return FILL_ROW;
}
