/* The values of records that are proven, column by column. Included by fast.h. */

enum {
    DIGITS_MAX = 16,     /* of a number that is read at once */
    ITEM_DIGITS_MAX = 9, /* of an integer in a list */
    FEW_ITEMS = 4
};

/* To be had from the file that includes this: */

/* The number that `length` digits make, 1 to DIGITS_MAX, that end before `end`. */
FAST uint64_t read_integer(const uint8_t *end, size_t length, struct bad_digits *bad);

/* The same of digits with a point among them, at most DIGITS_MAX bytes altogether; *places is how many are behind it. Where there is no
 * point, as read_integer(). */
FAST uint64_t read_decimal(const uint8_t *end, size_t length, size_t *places, struct bad_digits *bad);

FAST int are_digits_bad(const struct bad_digits *bad);

/* Reads a list of small integers that is known to be one, from behind its opening bracket to behind the closing one. Returns how many they
 * are, or -1 where there are more than it can do. It may write FEW_ITEMS. */
FAST int32_t read_few_items(const uint8_t *text, size_t length, int32_t *items);

/* Records of one event, each proven and with a layout, that are written column by column to the rows from `row` on. */
struct run {
    struct columns_decoder *decoder;
    const struct candidate *candidate;
    uint32_t records;
    uint32_t row;
    uint64_t faults; /* not 0: some value is not what its column takes */
    struct bad_digits bad;
};

/* A value's place. */
struct span {
    const uint8_t *end;
    size_t length;
};

FAST const uint8_t *begin_of(struct span span)
{
    return span.end - span.length;
}

/* The value of a column. Where the record has none, it is `none`, of one byte. */
FAST struct span span_of(const struct candidate *candidate, uint32_t column, const uint8_t *none)
{
    const struct layout_value value = candidate->layout->value[column];
    const uint8_t *colon_at = candidate->colon_at + value.member;
    const size_t begin = colon_at[0] + 1U, end = colon_at[1] + 1U - value.next_text_bytes;
    return value.member ? (struct span){candidate->record + end, end - begin} : (struct span){none + 1, 1};
}

/* What stands for the value that a record does not have; 16 bytes before and behind it may be read, as with any value. */
enum { NOTHING_AT = 16 };
static const uint8_t no_number[2 * NOTHING_AT + 1] = {[NOTHING_AT] = '0'};
static const uint8_t no_list[2 * NOTHING_AT + 1] = {[NOTHING_AT] = ']'};
static const uint8_t no_text[2 * NOTHING_AT + 1] = {[NOTHING_AT] = ' '};

/* A number without sign, point and exponent, of at most DIGITS_MAX digits. */
FAST uint64_t take_integer(struct run *run, struct span span)
{
    const int is_too_long = span.length - 1 >= DIGITS_MAX;
    run->faults |= (uint64_t)is_too_long;
    return read_integer(span.end, is_too_long ? 1 : span.length, &run->bad);
}

/* ... of up to 19 digits, as times in ns have. */
FAST uint64_t take_long_integer(struct run *run, struct span span)
{
    const uint64_t unit = UINT64_C(10000000000000000); /* 10^DIGITS_MAX */
    if (span.length <= DIGITS_MAX)
        return take_integer(run, span);
    const uint64_t high = take_integer(run, (struct span){span.end - DIGITS_MAX, span.length - DIGITS_MAX});
    run->faults |= high >= INT64_MAX / unit;
    return high * unit + read_integer(span.end, DIGITS_MAX, &run->bad);
}

FAST void put_int32s(struct run *run, const struct columns_column *column, uint32_t number)
{
    int32_t *values = (int32_t *)column->values + run->row;
    for (uint32_t i = 0; i < run->records; i++) {
        const uint64_t integer = take_integer(run, span_of(&run->candidate[i], number, no_number + NOTHING_AT));
        run->faults |= integer >> 31;
        values[i] = (int32_t)integer;
    }
}

FAST void put_int64s(struct run *run, const struct columns_column *column, uint32_t number)
{
    int64_t *values = (int64_t *)column->values + run->row;
    for (uint32_t i = 0; i < run->records; i++)
        values[i] = (int64_t)take_long_integer(run, span_of(&run->candidate[i], number, no_number + NOTHING_AT));
}

/* What was proven of a number, is still to be shown of one in quotes: a digit at both ends, no leading zero. */
FAST int is_decimal(struct span span)
{
    const uint8_t *begin = begin_of(span);
    const uint8_t first = (uint8_t)(begin[0] - '0'), last = (uint8_t)(span.end[-1] - '0');
    return first < 10 && last < 10 && (first > 0 || span.length == 1 || begin[1] == '.');
}

/* A number, or one in quotes, as mantissa and how many of its digits are behind the point: at most 14 of 15, which a double holds exactly,
 * or none of 16. Either is divided by a power of ten, or made a double, with one rounding. */
FAST uint64_t take_decimal(struct run *run, struct span span, size_t *places)
{
    if (*begin_of(span) == '"') {
        span = (struct span){span.end - 1, span.length - 2};
        run->faults |= span.length == 0 || !is_decimal(span);
    }
    const int is_too_long = span.length - 1 >= DIGITS_MAX;
    const uint64_t mantissa = read_decimal(span.end, is_too_long ? 1 : span.length, places, &run->bad);
    run->faults |= (uint64_t)is_too_long;
    return mantissa;
}

FAST void put_doubles(struct run *run, const struct columns_column *column, uint32_t number)
{
    double *values = (double *)column->values + run->row;
    for (uint32_t i = 0; i < run->records; i++) {
        size_t places;
        const struct candidate *candidate = &run->candidate[i];
        const uint64_t mantissa = take_decimal(run, span_of(candidate, number, no_number + NOTHING_AT), &places);
        const double nearest = (double)(int64_t)mantissa / number_powers[places];
        values[i] = candidate->layout->value[number].member ? nearest : (double)NAN;
    }
}

FAST void put_exacts(struct run *run, const struct columns_column *column, uint32_t number)
{
    int64_t *mantissas = (int64_t *)column->values + run->row;
    int16_t *exponents = (int16_t *)column->more + run->row;
    for (uint32_t i = 0; i < run->records; i++) {
        size_t places;
        mantissas[i] = (int64_t)take_decimal(run, span_of(&run->candidate[i], number, no_number + NOTHING_AT), &places);
        exponents[i] = (int16_t)-(int)places;
    }
}

/* The code of the symbol in quotes; a new one, if it was not seen yet. */
FAST int64_t take_symbol(struct symbols *symbols, struct span span)
{
    const uint8_t *symbol = begin_of(span) + 1;
    const size_t length = span.length - 2;
    const int64_t code = length <= SYMBOLS_SHORT_BYTES ? symbols_find_short(symbols, symbol, length) : -1;
    return code < 0 ? symbols_intern(symbols, symbol, length) : code;
}

FAST void put_symbols(struct run *run, const struct columns_column *column, uint32_t number)
{
    int32_t *values = (int32_t *)column->values + run->row;
    for (uint32_t i = 0; i < run->records; i++) {
        const struct span span = span_of(&run->candidate[i], number, no_text + NOTHING_AT);
        int64_t code = SYMBOLS_NONE;
        if (*begin_of(span) == '"')
            code = take_symbol(&run->decoder->symbols, span);
        else
            run->faults |= span.end != no_text + NOTHING_AT + 1;
        run->faults |= code < 0;
        values[i] = (int32_t)code;
    }
}

FAST void put_texts(struct run *run, const struct columns_column *column, uint32_t number)
{
    int32_t *offsets = (int32_t *)column->values + run->row;
    for (uint32_t i = 0; i < run->records; i++) {
        const struct span span = span_of(&run->candidate[i], number, no_text + NOTHING_AT);
        const size_t is_quoted = *begin_of(span) == '"', is_none = span.end == no_text + NOTHING_AT + 1;
        const uint8_t *from = begin_of(span) + is_quoted;
        const size_t length = span.length - 2 * is_quoted - is_none;
        uint8_t *to = (uint8_t *)column->more + offsets[i];
        run->faults |= *begin_of(span) == '[';
        memcpy(to, from, 16);
        for (size_t at = 16; at < length; at += 16)
            memcpy(to + at, from + at, 16);
        offsets[i + 1] = offsets[i] + (int32_t)length;
    }
}

/* The items of a list of integers, of which all but their size was proven. Returns how many. */
FAST int32_t take_items(struct run *run, struct span span, int32_t *items)
{
    const uint8_t *at = begin_of(span) + 1;
    int32_t count = read_few_items(at, span.length - 1, items);
    if (count >= 0)
        return count;
    for (count = 0; at < span.end - 1; at++) {
        const uint8_t *begin = at;
        int32_t item = 0;
        for (; *at >= '0' && *at <= '9' && at - begin < ITEM_DIGITS_MAX; at++)
            item = item * 10 + (*at - '0');
        run->faults |= *at != ',' && *at != ']';
        items[count++] = item;
    }
    return count;
}

/* Lists of integers; one that stands alone is a list, too. */
FAST void put_integers(struct run *run, const struct columns_column *column, uint32_t number)
{
    int32_t *offsets = (int32_t *)column->values + run->row;
    for (uint32_t i = 0; i < run->records; i++) {
        const struct span span = span_of(&run->candidate[i], number, no_list + NOTHING_AT);
        int32_t *items = (int32_t *)column->more + offsets[i], count = 0;
        if (*begin_of(span) == '[') {
            count = take_items(run, span, items);
        } else if (*begin_of(span) != ']') {
            const uint64_t integer = take_integer(run, span);
            run->faults |= integer >> 31;
            items[count++] = (int32_t)integer;
        }
        offsets[i + 1] = offsets[i] + count;
    }
}

/* Writes one column of the run. */
FAST void put_column(struct run *run, const struct columns_column *column, uint32_t number)
{
    switch ((enum columns_kind)column->kind) {
    case COLUMNS_SYMBOL: put_symbols(run, column, number); break;
    case COLUMNS_TEXT: put_texts(run, column, number); break;
    case COLUMNS_INT32: put_int32s(run, column, number); break;
    case COLUMNS_INT64: put_int64s(run, column, number); break;
    case COLUMNS_FLOAT64: put_doubles(run, column, number); break;
    case COLUMNS_EXACT: put_exacts(run, column, number); break;
    case COLUMNS_INTS: put_integers(run, column, number); break;
    case COLUMNS_BOOL: memset((int8_t *)column->values + run->row, 0, run->records); break; /* a record that has one is never proven */
    }
}

/* Makes the rows that were written the table's own. */
FAST void end_rows(struct columns_block *block, struct columns_table *table, const struct candidate *candidate, uint32_t records)
{
    uint32_t *present = table->present + table->rows, *order = table->order + table->rows;
    for (uint32_t i = 0; i < records; i++) {
        present[i] = candidate[i].layout->present;
        order[i] = block->records + i;
        table->all_present &= present[i];
        table->text_bytes += candidate[i].length;
    }
    table->rows += records;
    block->records += records;
}

/* The fourth step: decodes the records of a run into their table, or leaves all as it was and returns 0. */
FAST int take_run(struct columns_decoder *decoder, struct columns_block *block, const struct candidate *candidate, uint32_t records)
{
    struct columns_table *table = &block->table[candidate->event];
    struct run run = {decoder, candidate, records, table->rows, 0, NO_BAD_DIGITS};
    for (uint32_t i = 0; i < table->columns; i++)
        put_column(&run, &table->column[i], i);
    if (run.faults || are_digits_bad(&run.bad))
        return 0;
    end_rows(block, table, candidate, records);
    return 1;
}
