/* The state behind the face (books.h): venues, symbols, and the book of each venue for each symbol. */
#ifndef TABLE_H
#define TABLE_H

#include "books.h"
#include "names.h"

struct venue {
    char name[BOOKS_NAME_BYTES];
    const form *form;
    uint32_t stream; /* the venue with whose messages its own come, and whose names have its books: itself, but for exchanges of another */
    uint32_t rank; /* its place among all names in order: who is first at equal price and size */
    struct names names;
    bool is_counted, has_sequence; /* it has books that keep in step by the sequence; a message of it was seen */
    uint64_t sequence;             /* of its last message */
    uint64_t messages_total, repeats_total;
};

/* A level of several venues' books, or what was merged last: no padding, so that it can be compared as bytes. */
struct merged_level {
    int64_t price, size;
    uint64_t venue;
};

struct merged {
    bool is_there;
    uint32_t venues, count[2];
    uint8_t venue[BOOKS_VENUES_MAX], state[BOOKS_VENUES_MAX];
    struct merged_level *level[2]; /* room for the depth of each side */
};

struct symbol {
    char name[BOOKS_SYMBOL_BYTES];
    bool is_used, is_changed; /* changed since the take began */
    scale by;
    int64_t received_ns;
    struct book *book[BOOKS_VENUES_MAX];
    struct merged last;
};

struct books {
    struct reading reading;
    uint32_t depth, levels_max;
    uint32_t venues;
    struct venue venue[BOOKS_VENUES_MAX];
    uint32_t symbols; /* slots; some may be free */
    struct symbol *symbol;
    struct books_taken taken;
    uint32_t *changed;
    struct books_fault *fault;
    uint32_t fault_capacity;
    struct merged merging;
    level *top; /* room for the depth of one side of each venue */
};

#endif
