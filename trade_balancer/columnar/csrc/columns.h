/* The face of the column decoder: frames of JSON records in, columns out. What Python calls, and the memory that it looks at.
 *
 * A decoder knows what to decode (events, their members, the columns chosen of them), the symbols seen so far and the layouts learned so
 * far. A block is the memory of one batch: one table of columns per event, and the records that are in no table. Blocks are counted by
 * reference and outlive their decoder: NumPy views and Arrow arrays look straight into them. */
#ifndef COLUMNS_H
#define COLUMNS_H

#include <stddef.h>
#include <stdint.h>

/* cffi: begin */
enum columns_kind {
    COLUMNS_SYMBOL,   /* values: int32 codes of the decoder's symbols; 0 is the empty symbol, and stands where there is none */
    COLUMNS_TEXT,     /* values: int32 offsets, rows + 1; more: UTF-8 bytes. A number is its own text */
    COLUMNS_INT32,    /* values: int32 */
    COLUMNS_INT64,    /* values: int64 */
    COLUMNS_FLOAT64,  /* values: double, the nearest to the decimal of the record; NaN where there is none */
    COLUMNS_EXACT,    /* values: int64 mantissas; more: int16 exponents of ten */
    COLUMNS_INTS,     /* values: int32 offsets, rows + 1; more: int32 items */
    COLUMNS_BOOL      /* values: int8, 0 or 1 */
};

enum columns_limit {
    COLUMNS_EVENTS_MAX = 16,
    COLUMNS_MAX = 32 /* of a table */
};

/* Why a record is in no table. */
enum columns_why {
    COLUMNS_OTHER_EVENT, /* it is of an event without a table */
    COLUMNS_MISFIT,      /* the value of a chosen member is of another type than its column, or does not fit into it */
    COLUMNS_BAD          /* it is not a JSON object */
};

enum columns_rc {
    COLUMNS_FULL = 1,        /* a table has no room for the next record: go on with another block */
    COLUMNS_ERR_MEMORY = -1  /* errno tells */
};

enum columns_vectors { COLUMNS_BASELINE, COLUMNS_AVX2, COLUMNS_AVX512 };

/* An event that has a table, and what columns that has. All texts are zero-terminated. */
struct columns_event {
    char name[8];
    uint32_t columns;
    struct {
        char name[16];
        char member[8];  /* whose values are in it: there may be two columns of one member */
        char format[8];  /* of Arrow's C data interface, where the kind alone does not tell it: of times */
        uint32_t kind;   /* enum columns_kind */
    } column[32];
};

struct columns_column {
    void *values;
    void *more;          /* as enum columns_kind says */
    uint8_t *validity;   /* a bit per row, lowest first; set where there is a value. Meant when nulls > 0 */
    uint32_t nulls;
    uint32_t kind;
};

struct columns_table {
    uint32_t event;
    uint32_t rows;
    uint32_t columns;
    uint32_t variables;     /* columns of texts and lists: */
    uint8_t variable[32];
    uint32_t all_present;   /* a bit for each column that every row has */
    size_t text_bytes;      /* of the records in it: bounds its texts and lists */
    uint32_t *present;      /* of each row: a bit for each column it has */
    uint32_t *order;        /* of each row: how many records of the block came before it */
    struct columns_column column[32];
};

/* Records that are in no table, one behind the other. */
struct columns_others {
    uint32_t records;
    size_t bytes_capacity;
    int64_t *offsets;       /* records + 1 */
    uint32_t *order;
    uint8_t *why;           /* enum columns_why */
    uint8_t *bytes;
};

struct columns_counters {
    uint64_t records_total;
    uint64_t record_bytes_total;
    uint64_t exact_total;   /* records that the fast path could not prove */
    uint64_t others_total;  /* records that are in no table, for whatever reason */
    uint64_t misfit_total;
    uint64_t bad_total;
    uint64_t layouts_total; /* layouts learned */
};

struct columns_decoder;
struct columns_block;

/* Returns NULL where there is no memory. */
struct columns_decoder *columns_new(const struct columns_event *events, uint32_t count, uint32_t widest_vectors);
void columns_free(struct columns_decoder *decoder);
void columns_counters(const struct columns_decoder *decoder, struct columns_counters *counters);
uint32_t columns_vectors(const struct columns_decoder *decoder);

/* A block with room for `rows` rows in each table, of records of `text_bytes` altogether. It has one reference, the caller's.
 * NULL where there is no memory. */
struct columns_block *columns_block_new(const struct columns_decoder *decoder, uint32_t rows, size_t text_bytes);
void columns_block_retain(struct columns_block *block);
void columns_block_release(struct columns_block *block);
uint32_t columns_block_references(const struct columns_block *block);
void columns_block_clear(struct columns_block *block);
uint32_t columns_block_tables(const struct columns_block *block);
uint32_t columns_block_records(const struct columns_block *block);
struct columns_table *columns_block_table(struct columns_block *block, uint32_t event);
struct columns_others *columns_block_others(struct columns_block *block);

/* Decodes the whole frames that begin at bytes[0] into the block, and finishes its columns. Returns 0, COLUMNS_FULL or an error;
 * *consumed_bytes tells how far it came. */
int columns_decode(struct columns_decoder *decoder, struct columns_block *block, const uint8_t *bytes, size_t length,
                   size_t *consumed_bytes);

/* How many bytes from the block's address on all its columns and their bitmaps are in. */
size_t columns_block_bytes(const struct columns_block *block);

/* Symbols have codes from 0 on, in the order in which they were first seen; 0 is the empty one. */
uint32_t columns_symbols(const struct columns_decoder *decoder);
const uint8_t *columns_symbol(const struct columns_decoder *decoder, uint32_t code, size_t *length);
/* Returns the code of a symbol, or -1 where it was not seen yet. */
int64_t columns_symbol_code(const struct columns_decoder *decoder, const uint8_t *symbol, size_t length);

/* Arrow's C data and C stream interface, as PyCapsules want it: memory that arrow_free_*() gives back, or the capsule does. An array refers
 * to the block, and a stream is of that one array. NULL where there is no memory. */
struct ArrowSchema *arrow_schema(const struct columns_decoder *decoder, uint32_t event);
struct ArrowArray *arrow_array(const struct columns_decoder *decoder, struct columns_block *block, uint32_t event);
struct ArrowArrayStream *arrow_stream(const struct columns_decoder *decoder, struct columns_block *block, uint32_t event);

/* Destructors of the capsules, called by Python with the capsule. */
void arrow_end_schema(void *capsule);
void arrow_end_array(void *capsule);
void arrow_end_stream(void *capsule);
/* cffi: end */

#endif
