/* The face of the books: messages of several venues in, changed symbols and faults out, merged books on demand. What Python calls.
 *
 * Not for two threads at a time. Once each book has seen its deepest moment, taking a message allocates nothing. */
#ifndef BOOKS_H
#define BOOKS_H

#include <stddef.h>
#include <stdint.h>

#include "summary.h"

/* cffi: begin */
enum books_form { FORM_BINANCE, FORM_BITSTAMP, FORM_COINBASE, FORM_KRAKEN, FORM_POLYGON };

enum books_limit {
    BOOKS_VENUES_MAX = 16,
    BOOKS_DEPTH_MAX = 100,
    BOOKS_DECIMALS_MAX = 18,
    BOOKS_NAME_BYTES = 28,  /* of a venue's name, with the zero behind it */
    BOOKS_SYMBOL_BYTES = 64
};

enum books_rc {
    BOOKS_ERR_MEMORY = -1,
    BOOKS_ERR_FULL = -2,  /* as many venues as there may be */
    BOOKS_ERR_TAKEN = -3  /* of that name there is one */
};

struct books_fault {
    uint32_t venue;
    int32_t symbol; /* -1: of a message that names none */
    uint32_t why;   /* enum books_why */
};

struct books_taken {
    size_t consumed_bytes;
    uint32_t changed, faults;
    const uint32_t *changed_symbols; /* each once; valid until the next call */
    const struct books_fault *fault;
};

struct books_book {
    uint8_t is_synced, state; /* enum books_state, as it is merged */
    uint64_t last_id;
    int64_t time_ns, received_ns;
    uint32_t bid_levels, ask_levels;
    uint64_t messages_total, faults_total;
};

struct books_level {
    int64_t price, size;
};

struct books;

/* `depth` is that of merges, `levels_max` that of a side of a book. NULL where there is no memory. */
struct books *books_new(uint32_t depth, uint32_t levels_max);
void books_free(struct books *books);

/* Return its number or an error. `stream`: the venue with whose messages those of this one come, which has its form; or none: -1. */
int32_t books_add_venue(struct books *books, const char *name, uint32_t form, int32_t stream);
int32_t books_add_symbol(struct books *books, const char *name, uint8_t price_decimals, uint8_t size_decimals);
void books_remove_symbol(struct books *books, uint32_t symbol);

/* `name` is the venue's; own_* are the decimals that the venue writes, no more than the symbol's. `depth`: no more levels than that are kept;
 * 0: as many as levels_max. Returns 0 or an error. */
int books_open(struct books *books, uint32_t venue, uint32_t symbol, const uint8_t *name, size_t name_bytes, uint32_t rule,
               uint8_t own_price_decimals, uint8_t own_size_decimals, uint32_t depth, uint32_t source);
void books_close(struct books *books, uint32_t venue, uint32_t symbol);
int books_is_open(const struct books *books, uint32_t venue, uint32_t symbol);

/* Takes the whole frames (a length of four bytes, little end first, and a message) that begin at bytes[0]. Stops sooner where there is no more
 * room for faults. Returns 0 or BOOKS_ERR_MEMORY. */
int books_take(struct books *books, uint32_t venue, const uint8_t *bytes, size_t length, int64_t received_ns);
int books_snapshot(struct books *books, uint32_t venue, uint32_t symbol, const uint8_t *body, size_t length, int64_t received_ns);

/* Messages of the venue that were taken, of books or not. */
uint64_t books_messages(const struct books *books, uint32_t venue);
/* ... those of them that came a second time, by the venue's count of them. */
uint64_t books_repeats(const struct books *books, uint32_t venue);

/* What became of the last one. */
const struct books_taken *books_taken(const struct books *books);

void books_reset(struct books *books, uint32_t venue, uint32_t symbol);
/* Returns whether that changes what is merged. */
int books_set_state(struct books *books, uint32_t venue, uint32_t symbol, uint32_t state);
void books_book(const struct books *books, uint32_t venue, uint32_t symbol, struct books_book *to);
uint32_t books_levels(const struct books *books, uint32_t venue, uint32_t symbol, uint32_t which, struct books_level *to, uint32_t count);

/* How many bytes a merge takes at most. */
size_t books_merge_room(const struct books *books);
/* Merges; returns how many bytes the summary has, 0 where it is as it was the last time. */
size_t books_merge(struct books *books, uint32_t symbol, uint64_t sequence, struct summary *to);

/* How many bytes of memory books, differences kept and all else take. */
size_t books_memory_bytes(const struct books *books);
/* cffi: end */

#endif
