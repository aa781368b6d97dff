/* A table as an Arrow array, without a copy. Whoever has it, releases it, from any thread and at any time: each array has references of its
 * own to the block and to the symbols' texts. */
#include "arrow.h"
#include "decoder.h"

#include <errno.h>
#include <stdlib.h>

enum { BUFFERS_MAX = 3 };

/* A schema's own memory. Its children, and the dictionary, are parts of it until somebody moves them out. */
struct schema_parts {
    char format[8];
    char name[16];
    struct ArrowSchema *children[COLUMNS_MAX];
};

static void free_schema(struct ArrowSchema *schema)
{
    if (schema && schema->release)
        schema->release(schema);
    free(schema);
}

static void release_schema(struct ArrowSchema *schema)
{
    for (int64_t i = 0; i < schema->n_children; i++)
        free_schema(schema->children[i]);
    free_schema(schema->dictionary);
    free(schema->private_data);
    schema->release = NULL;
}

/* Returns NULL where there is no memory. */
static struct ArrowSchema *new_schema(const char *format, const char *name)
{
    struct ArrowSchema *schema = calloc(1, sizeof *schema);
    struct schema_parts *parts = calloc(1, sizeof *parts);
    if (!schema || !parts) {
        free(schema);
        free(parts);
        return NULL;
    }
    strncpy(parts->format, format, sizeof parts->format - 1);
    strncpy(parts->name, name, sizeof parts->name - 1);
    *schema = (struct ArrowSchema){.format = parts->format, .name = parts->name, .children = parts->children,
                                   .release = release_schema, .private_data = parts};
    return schema;
}

/* Gives `child`, if there is one, to the schema. Returns 0 where there is none. */
static int add_child_schema(struct ArrowSchema *schema, struct ArrowSchema *child, int64_t flags)
{
    if (!child)
        return 0;
    child->flags = flags;
    schema->children[schema->n_children++] = child;
    return 1;
}

static const char *format_of(uint32_t kind)
{
    switch ((enum columns_kind)kind) {
    case COLUMNS_SYMBOL:
    case COLUMNS_INT32: return "i";
    case COLUMNS_TEXT: return "u";
    case COLUMNS_INT64: return "l";
    case COLUMNS_FLOAT64: return "g";
    case COLUMNS_EXACT: return "+s";
    case COLUMNS_INTS: return "+l";
    case COLUMNS_BOOL: return "c";
    }
    return "";
}

/* The schema of a column and of what is in it; NULL where there is no memory. */
static struct ArrowSchema *column_schema(const struct columns_event *event, uint32_t number)
{
    const uint32_t kind = event->column[number].kind;
    const char *format = *event->column[number].format ? event->column[number].format : format_of(kind);
    struct ArrowSchema *schema = new_schema(format, event->column[number].name);
    if (!schema)
        return NULL;
    int is_whole = 1;
    if (kind == COLUMNS_SYMBOL)
        is_whole = (schema->dictionary = new_schema("u", "")) != NULL;
    else if (kind == COLUMNS_INTS)
        is_whole = add_child_schema(schema, new_schema("i", "item"), 0);
    else if (kind == COLUMNS_EXACT)
        is_whole = add_child_schema(schema, new_schema("l", "mantissa"), 0) && add_child_schema(schema, new_schema("s", "exponent"), 0);
    if (is_whole)
        return schema;
    free_schema(schema);
    return NULL;
}

static struct ArrowSchema *table_schema(const struct columns_event *event)
{
    struct ArrowSchema *schema = new_schema("+s", event->name);
    for (uint32_t i = 0; schema && i < event->columns; i++) {
        if (add_child_schema(schema, column_schema(event, i), ARROW_NULLABLE))
            continue;
        free_schema(schema);
        return NULL;
    }
    return schema;
}

struct ArrowSchema *arrow_schema(const struct columns_decoder *decoder, uint32_t event)
{
    return table_schema(&decoder->event[event]);
}

/* An array's own memory, and what it refers to. */
struct array_parts {
    const void *buffers[BUFFERS_MAX];
    struct ArrowArray *children[COLUMNS_MAX];
    struct columns_block *block;
    struct symbol_store *store;
};

static void free_array(struct ArrowArray *array)
{
    if (array && array->release)
        array->release(array);
    free(array);
}

static void release_array(struct ArrowArray *array)
{
    struct array_parts *parts = array->private_data;
    for (int64_t i = 0; i < array->n_children; i++)
        free_array(array->children[i]);
    free_array(array->dictionary);
    if (parts->block)
        columns_block_release(parts->block);
    if (parts->store)
        symbol_store_release(parts->store);
    free(parts);
    array->release = NULL;
}

/* An array that refers to the block or to the store, one of which is NULL. Returns NULL where there is no memory. */
static struct ArrowArray *new_array(struct columns_block *block, struct symbol_store *store, int64_t length, int64_t buffers)
{
    struct ArrowArray *array = calloc(1, sizeof *array);
    struct array_parts *parts = calloc(1, sizeof *parts);
    if (!array || !parts) {
        free(array);
        free(parts);
        return NULL;
    }
    parts->block = block;
    parts->store = store;
    if (block)
        columns_block_retain(block);
    if (store)
        symbol_store_retain(store);
    *array = (struct ArrowArray){.length = length, .n_buffers = buffers, .buffers = parts->buffers, .children = parts->children,
                                 .release = release_array, .private_data = parts};
    return array;
}

static int add_child_array(struct ArrowArray *array, struct ArrowArray *child)
{
    if (!child)
        return 0;
    array->children[array->n_children++] = child;
    return 1;
}

/* An array of one more level: a list's items, or a part of a struct. It has no nulls of its own. */
static struct ArrowArray *part_array(struct columns_block *block, int64_t length, const void *values)
{
    struct ArrowArray *array = new_array(block, NULL, length, 2);
    if (array)
        array->buffers[1] = values;
    return array;
}

static struct ArrowArray *dictionary_array(const struct symbols *symbols)
{
    struct ArrowArray *array = new_array(NULL, symbols->store, symbols->count, 3);
    if (!array)
        return NULL;
    array->buffers[1] = symbols->store->offsets;
    array->buffers[2] = symbols->store->bytes;
    return array;
}

/* Puts in what depends on the column's kind. Returns 0 where there is no memory. */
static int fill_array(struct ArrowArray *array, const struct columns_decoder *decoder, struct columns_block *block,
                      const struct columns_column *column)
{
    array->buffers[1] = column->values;
    switch ((enum columns_kind)column->kind) {
    case COLUMNS_SYMBOL: return (array->dictionary = dictionary_array(&decoder->symbols)) != NULL;
    case COLUMNS_TEXT: array->n_buffers = 3, array->buffers[2] = column->more; return 1;
    case COLUMNS_INTS: {
        const int32_t *offsets = column->values;
        return add_child_array(array, part_array(block, offsets[array->length], column->more));
    }
    case COLUMNS_EXACT:
        array->n_buffers = 1;
        return add_child_array(array, part_array(block, array->length, column->values)) &&
               add_child_array(array, part_array(block, array->length, column->more));
    default: return 1;
    }
}

static struct ArrowArray *column_array(const struct columns_decoder *decoder, struct columns_block *block,
                                       const struct columns_column *column, uint32_t rows)
{
    struct ArrowArray *array = new_array(block, NULL, rows, 2);
    if (!array)
        return NULL;
    array->null_count = column->nulls;
    array->buffers[0] = column->nulls ? column->validity : NULL;
    if (fill_array(array, decoder, block, column))
        return array;
    free_array(array);
    return NULL;
}

struct ArrowArray *arrow_array(const struct columns_decoder *decoder, struct columns_block *block, uint32_t event)
{
    const struct columns_table *table = &block->table[event];
    struct ArrowArray *array = new_array(block, NULL, table->rows, 1);
    for (uint32_t i = 0; array && i < table->columns; i++) {
        if (add_child_array(array, column_array(decoder, block, &table->column[i], table->rows)))
            continue;
        free_array(array);
        return NULL;
    }
    return array;
}

/* What a stream has to give: a schema, as often as it is asked for, and an array, once. */
struct stream_parts {
    struct columns_event event;
    struct ArrowArray *array;
};

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    const struct stream_parts *parts = stream->private_data;
    struct ArrowSchema *schema = table_schema(&parts->event);
    if (!schema)
        return ENOMEM;
    *out = *schema; /* moved: only its shell is given back */
    free(schema);
    return 0;
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    struct stream_parts *parts = stream->private_data;
    *out = (struct ArrowArray){0}; /* released: the end */
    if (parts->array)
        *out = *parts->array;
    free(parts->array);
    parts->array = NULL;
    return 0;
}

static const char *get_last_error(struct ArrowArrayStream *stream)
{
    (void)stream;
    return NULL;
}

static void release_stream(struct ArrowArrayStream *stream)
{
    struct stream_parts *parts = stream->private_data;
    free_array(parts->array);
    free(parts);
    stream->release = NULL;
}

struct ArrowArrayStream *arrow_stream(const struct columns_decoder *decoder, struct columns_block *block, uint32_t event)
{
    struct ArrowArrayStream *stream = calloc(1, sizeof *stream);
    struct stream_parts *parts = calloc(1, sizeof *parts);
    struct ArrowArray *array = arrow_array(decoder, block, event);
    if (!stream || !parts || !array) {
        free(stream);
        free(parts);
        free_array(array);
        return NULL;
    }
    *parts = (struct stream_parts){decoder->event[event], array};
    *stream = (struct ArrowArrayStream){get_schema, get_next, get_last_error, release_stream, parts};
    return stream;
}
