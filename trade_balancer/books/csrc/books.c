#include <stdlib.h>
#include <string.h>

#include "table.h"

static const form *const forms[] = {
    [FORM_BINANCE] = &binance_form,
    [FORM_BITSTAMP] = &bitstamp_form,
    [FORM_COINBASE] = &coinbase_form,
    [FORM_KRAKEN] = &kraken_form,
    [FORM_POLYGON] = &polygon_form,
};

static bool merged_init(struct merged *merged, uint32_t depth)
{
    merged->level[BID] = calloc(depth, sizeof *merged->level[BID]);
    merged->level[ASK] = calloc(depth, sizeof *merged->level[ASK]);
    return merged->level[BID] && merged->level[ASK];
}

static void merged_free(struct merged *merged)
{
    free(merged->level[BID]);
    free(merged->level[ASK]);
    *merged = (struct merged){0};
}

struct books *books_new(uint32_t depth, uint32_t levels_max)
{
    struct books *books = calloc(1, sizeof *books);
    if (!books)
        return NULL;
    books->depth = books->reading.depth = depth;
    books->levels_max = levels_max;
    checksum_init(&books->reading.checksum);
    books->top = malloc((size_t)BOOKS_VENUES_MAX * depth * sizeof *books->top);
    if (merged_init(&books->merging, depth) && books->top)
        return books;
    books_free(books);
    return NULL;
}

void books_free(struct books *books)
{
    for (uint32_t symbol = 0; symbol < books->symbols; symbol++)
        books_remove_symbol(books, symbol);
    for (uint32_t venue = 0; venue < books->venues; venue++)
        names_free(&books->venue[venue].names);
    levels_free(&books->reading.levels);
    merged_free(&books->merging);
    free(books->symbol);
    free(books->changed);
    free(books->fault);
    free(books->top);
    free(books);
}

int32_t books_add_venue(struct books *books, const char *name, uint32_t form_, int32_t stream)
{
    if (books->venues == BOOKS_VENUES_MAX)
        return BOOKS_ERR_FULL;
    struct venue *added = &books->venue[books->venues];
    *added = (struct venue){.form = forms[form_], .stream = stream < 0 ? books->venues : (uint32_t)stream};
    strncpy(added->name, name, sizeof added->name - 1);
    for (uint32_t i = 0; i < books->venues; i++) {
        const int order = strcmp(books->venue[i].name, added->name);
        if (order == 0)
            return BOOKS_ERR_TAKEN;
        if (order < 0)
            added->rank++;
    }
    for (uint32_t i = 0; i < books->venues; i++)
        books->venue[i].rank += books->venue[i].rank >= added->rank;
    return (int32_t)books->venues++;
}

/* One more slot for a symbol, and room to tell of it. */
static int grow(struct books *books)
{
    const size_t symbols = books->symbols + 1;
    struct symbol *symbol = realloc(books->symbol, symbols * sizeof *symbol);
    if (!symbol)
        return BOOKS_ERR_MEMORY;
    books->symbol = symbol;
    uint32_t *changed = realloc(books->changed, symbols * sizeof *changed);
    if (!changed)
        return BOOKS_ERR_MEMORY;
    books->changed = changed;
    books->symbol[books->symbols++] = (struct symbol){0};
    return 0;
}

int32_t books_add_symbol(struct books *books, const char *name, uint8_t price_decimals, uint8_t size_decimals)
{
    uint32_t number = 0;
    while (number < books->symbols && books->symbol[number].is_used)
        number++;
    if (number == books->symbols && grow(books))
        return BOOKS_ERR_MEMORY;
    struct symbol added = {.is_used = true, .by = {price_decimals, size_decimals}};
    strncpy(added.name, name, sizeof added.name - 1);
    if (!merged_init(&added.last, books->depth)) {
        merged_free(&added.last);
        return BOOKS_ERR_MEMORY;
    }
    books->symbol[number] = added;
    return (int32_t)number;
}

void books_remove_symbol(struct books *books, uint32_t number)
{
    struct symbol *symbol = &books->symbol[number];
    for (uint32_t venue = 0; venue < books->venues; venue++)
        if (symbol->book[venue])
            books_close(books, venue, number);
    merged_free(&symbol->last);
    *symbol = (struct symbol){0};
}

static struct venue *stream_of(struct books *books, uint32_t venue)
{
    return &books->venue[books->venue[venue].stream];
}

static void add_name(struct book *book, const uint8_t *name, size_t bytes)
{
    book->name = malloc(bytes ? bytes : 1);
    if (!book->name)
        return;
    memcpy(book->name, name, bytes);
    book->name_bytes = bytes;
}

int books_open(struct books *books, uint32_t venue, uint32_t symbol, const uint8_t *name, size_t name_bytes, uint32_t rule,
               uint8_t own_price_decimals, uint8_t own_size_decimals, uint32_t depth, uint32_t source)
{
    struct names *names = &stream_of(books, venue)->names;
    const scale by = books->symbol[symbol].by;
    if (names_find(names, name, name_bytes, source))
        return BOOKS_ERR_TAKEN;
    struct book *book = malloc(sizeof *book);
    if (!book)
        return BOOKS_ERR_MEMORY;
    book_init(book, books->venue[venue].form, (enum books_rule)rule, by, depth && depth < books->levels_max ? depth : books->levels_max);
    book->is_limited = depth != 0;
    book->source = source;
    book->venue = venue;
    book->symbol = symbol;
    book->checksum_shift[0] = (uint8_t)(by.price_decimals - own_price_decimals);
    book->checksum_shift[1] = (uint8_t)(by.size_decimals - own_size_decimals);
    add_name(book, name, name_bytes);
    if (!book->name || names_add(names, book)) {
        book_free(book, &books->reading);
        free(book);
        return BOOKS_ERR_MEMORY;
    }
    books->symbol[symbol].book[venue] = book;
    stream_of(books, venue)->is_counted |= rule == RULE_SEQUENCE;
    return 0;
}

void books_close(struct books *books, uint32_t venue, uint32_t symbol)
{
    struct book *book = books->symbol[symbol].book[venue];
    names_remove(&stream_of(books, venue)->names, book);
    books->symbol[symbol].book[venue] = NULL;
    book_free(book, &books->reading);
    free(book);
}

int books_is_open(const struct books *books, uint32_t venue, uint32_t symbol)
{
    return venue < books->venues && symbol < books->symbols && books->symbol[symbol].book[venue] != NULL;
}

void books_reset(struct books *books, uint32_t venue, uint32_t symbol)
{
    book_reset(books->symbol[symbol].book[venue], &books->reading);
}

int books_set_state(struct books *books, uint32_t venue, uint32_t symbol, uint32_t state)
{
    struct book *book = books->symbol[symbol].book[venue];
    const enum books_state before = book_state(book);
    book->state = (enum books_state)state;
    return book_state(book) != before;
}

void books_book(const struct books *books, uint32_t venue, uint32_t symbol, struct books_book *to)
{
    const struct book *book = books->symbol[symbol].book[venue];
    *to = (struct books_book){.is_synced = book->is_synced,
                              .state = (uint8_t)book_state(book),
                              .last_id = book->last_id,
                              .time_ns = book->time_ns,
                              .received_ns = book->received_ns,
                              .bid_levels = ladder_count(&book->side[BID]),
                              .ask_levels = ladder_count(&book->side[ASK]),
                              .messages_total = book->messages_total,
                              .faults_total = book->faults_total};
}

_Static_assert(sizeof(struct books_level) == sizeof(level), "levels are told as they are");

uint32_t books_levels(const struct books *books, uint32_t venue, uint32_t symbol, uint32_t which, struct books_level *to, uint32_t count)
{
    return book_top(books->symbol[symbol].book[venue], (side)which, (level *)to, count);
}

size_t books_memory_bytes(const struct books *books)
{
    size_t bytes = sizeof *books + books->reading.kept_bytes + books->symbols * sizeof *books->symbol;
    bytes += 2 * (size_t)books->reading.levels.capacity * sizeof(level);
    for (uint32_t symbol = 0; symbol < books->symbols; symbol++)
        for (uint32_t venue = 0; venue < books->venues; venue++) {
            const struct book *book = books->symbol[symbol].book[venue];
            if (book)
                bytes += sizeof *book + ((size_t)book->side[BID].capacity + book->side[ASK].capacity) * sizeof(level);
        }
    return bytes;
}
