#include "decoder.h"

#include <math.h>
#include <stdlib.h>

enum { ALIGNMENT_BYTES = 64, PAD_BYTES = 64 /* texts are copied in whole vectors */, FIRST_OTHERS_BYTES = 64 * 1024 };

/* Cuts pieces off a region; with `at` NULL it only counts how large that has to be. */
struct cutter {
    uint8_t *at;
    size_t used_bytes;
};

static void *cut(struct cutter *cutter, size_t bytes)
{
    uint8_t *piece = cutter->at ? cutter->at + cutter->used_bytes : NULL;
    cutter->used_bytes += (bytes + PAD_BYTES + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
    return piece;
}

static void cut_column(struct cutter *cutter, struct columns_column *column, size_t rows, size_t text_bytes)
{
    switch ((enum columns_kind)column->kind) {
    case COLUMNS_SYMBOL:
    case COLUMNS_INT32: column->values = cut(cutter, rows * sizeof(int32_t)); break;
    case COLUMNS_INT64: column->values = cut(cutter, rows * sizeof(int64_t)); break;
    case COLUMNS_FLOAT64: column->values = cut(cutter, rows * sizeof(double)); break;
    case COLUMNS_BOOL: column->values = cut(cutter, rows); break;
    case COLUMNS_EXACT:
        column->values = cut(cutter, rows * sizeof(int64_t));
        column->more = cut(cutter, rows * sizeof(int16_t));
        break;
    case COLUMNS_TEXT:
        column->values = cut(cutter, (rows + 1) * sizeof(int32_t));
        column->more = cut(cutter, text_bytes);
        break;
    case COLUMNS_INTS:
        column->values = cut(cutter, (rows + 1) * sizeof(int32_t));
        column->more = cut(cutter, text_bytes / 2 * sizeof(int32_t)); /* an item has a digit and a comma or bracket */
        break;
    }
    column->validity = cut(cutter, rows / 8 + 1);
}

/* Gives every table its memory; returns how many bytes that takes. */
static size_t cut_tables(struct columns_block *block, const struct columns_decoder *decoder, uint8_t *region)
{
    struct cutter cutter = {region, 0};
    struct columns_others *others = &block->others;
    others->offsets = cut(&cutter, ((size_t)block->rows_capacity + 1) * sizeof *others->offsets);
    others->order = cut(&cutter, block->rows_capacity * sizeof *others->order);
    others->why = cut(&cutter, block->rows_capacity);
    for (uint32_t number = 0; number < block->tables; number++) {
        const struct columns_event *event = &decoder->event[number];
        struct columns_table *table = &block->table[number];
        table->event = number;
        table->columns = event->columns;
        table->variables = 0;
        table->present = cut(&cutter, block->rows_capacity * sizeof *table->present);
        table->order = cut(&cutter, block->rows_capacity * sizeof *table->order);
        for (uint32_t i = 0; i < table->columns; i++) {
            table->column[i].kind = event->column[i].kind;
            cut_column(&cutter, &table->column[i], block->rows_capacity, block->text_capacity);
            if (table->column[i].kind == COLUMNS_TEXT || table->column[i].kind == COLUMNS_INTS)
                table->variable[table->variables++] = (uint8_t)i;
        }
    }
    return cutter.used_bytes;
}

struct columns_block *columns_block_new(const struct columns_decoder *decoder, uint32_t rows, size_t text_bytes)
{
    struct columns_block measured = {.tables = decoder->events, .rows_capacity = rows, .text_capacity = text_bytes};
    const size_t head_bytes = (sizeof measured + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
    const size_t region_bytes = cut_tables(&measured, decoder, NULL);
    struct columns_block *block = aligned_alloc(ALIGNMENT_BYTES, head_bytes + region_bytes);
    if (!block)
        return NULL;
    *block = measured;
    block->references = 1;
    block->bytes = head_bytes + region_bytes;
    cut_tables(block, decoder, (uint8_t *)block + head_bytes);
    columns_block_clear(block);
    return block;
}

void columns_block_clear(struct columns_block *block)
{
    block->records = 0;
    block->others.records = 0;
    block->others.offsets[0] = 0;
    for (uint32_t number = 0; number < block->tables; number++) {
        struct columns_table *table = &block->table[number];
        table->rows = 0;
        table->text_bytes = 0;
        table->all_present = UINT32_MAX;
        for (uint32_t i = 0; i < table->variables; i++)
            ((int32_t *)table->column[table->variable[i]].values)[0] = 0;
    }
}

void columns_block_retain(struct columns_block *block)
{
    __atomic_add_fetch(&block->references, 1, __ATOMIC_RELAXED);
}

void columns_block_release(struct columns_block *block)
{
    if (__atomic_sub_fetch(&block->references, 1, __ATOMIC_ACQ_REL))
        return;
    free(block->others.bytes);
    free(block);
}

uint32_t columns_block_references(const struct columns_block *block)
{
    return __atomic_load_n(&block->references, __ATOMIC_ACQUIRE);
}

size_t columns_block_bytes(const struct columns_block *block)
{
    return block->bytes;
}

uint32_t columns_block_tables(const struct columns_block *block)
{
    return block->tables;
}

uint32_t columns_block_records(const struct columns_block *block)
{
    return block->records;
}

struct columns_table *columns_block_table(struct columns_block *block, uint32_t event)
{
    return &block->table[event];
}

struct columns_others *columns_block_others(struct columns_block *block)
{
    return &block->others;
}

/* Makes room for so many bytes of the others. */
static int grow_others(struct columns_others *others, size_t wanted_bytes)
{
    size_t capacity = others->bytes_capacity ? others->bytes_capacity : FIRST_OTHERS_BYTES;
    while (capacity < wanted_bytes)
        capacity *= 2;
    if (capacity == others->bytes_capacity)
        return 0;
    uint8_t *larger = realloc(others->bytes, capacity);
    if (!larger)
        return -1;
    others->bytes = larger;
    others->bytes_capacity = capacity;
    return 0;
}

int block_add_other(struct columns_block *block, const uint8_t *record, size_t length, enum columns_why why)
{
    struct columns_others *others = &block->others;
    const size_t used_bytes = (size_t)others->offsets[others->records];
    if (grow_others(others, used_bytes + length))
        return -1;
    if (length)
        memcpy(others->bytes + used_bytes, record, length);
    others->order[others->records] = block->records++;
    others->why[others->records] = (uint8_t)why;
    others->offsets[++others->records] = (int64_t)(used_bytes + length);
    return 0;
}

void column_set_null(const struct columns_column *column, uint32_t row)
{
    switch ((enum columns_kind)column->kind) {
    case COLUMNS_SYMBOL:
    case COLUMNS_INT32: ((int32_t *)column->values)[row] = 0; break;
    case COLUMNS_INT64: ((int64_t *)column->values)[row] = 0; break;
    case COLUMNS_FLOAT64: ((double *)column->values)[row] = NAN; break;
    case COLUMNS_BOOL: ((int8_t *)column->values)[row] = 0; break;
    case COLUMNS_EXACT:
        ((int64_t *)column->values)[row] = 0;
        ((int16_t *)column->more)[row] = 0;
        break;
    case COLUMNS_TEXT:
    case COLUMNS_INTS: ((int32_t *)column->values)[row + 1] = ((int32_t *)column->values)[row]; break;
    }
}

/* Without a branch per row: which rows have a value is as good as random. */
static void finish_column(const struct columns_table *table, struct columns_column *column, uint32_t number)
{
    column->nulls = 0;
    if (table->all_present >> number & 1)
        return;
    uint32_t there = 0;
    for (uint32_t row = 0; row < table->rows; row += 8) {
        uint32_t byte = 0;
        for (uint32_t i = 0; i < 8; i++) /* behind the last row is what an earlier batch has left */
            byte |= (table->present[row + i] >> number & 1) << i;
        if (table->rows - row < 8)
            byte &= (1U << (table->rows - row)) - 1;
        there += (uint32_t)__builtin_popcount(byte);
        column->validity[row / 8] = (uint8_t)byte;
    }
    column->nulls = table->rows - there;
}

void block_finish(struct columns_block *block)
{
    for (uint32_t number = 0; number < block->tables; number++)
        for (uint32_t i = 0; i < block->table[number].columns; i++)
            finish_column(&block->table[number], &block->table[number].column[i], i);
}
