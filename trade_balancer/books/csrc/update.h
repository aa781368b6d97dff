/* What one message of a venue says of a book.
 *
 * Law of the files that fill it (a venue each, and what they share): they read the caller's bytes, make no system call, allocate nothing, keep
 * nothing. An update points into the message and is of use for as long as that is. */
#ifndef UPDATE_H
#define UPDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* cffi: begin */
/* Whole numbers: the decimal ones times ten to the power of their scale. */
typedef struct {
    int64_t price, size;
} level;

typedef struct {
    uint8_t price_decimals, size_decimals;
} scale;

typedef enum { BID, ASK } side;

/* Why a message can't be taken: what a form's functions return below 0. */
enum {
    BOOKS_EMALFORMED = -1, /* no JSON, or without what such a message must say */
    BOOKS_EINEXACT = -2,   /* a price or size has more decimals than the scale: it would have to be rounded */
    BOOKS_ETOO_LARGE = -3  /* a price or size does not fit into 63 bits at that scale */
};

typedef enum {
    UPDATE_NOTHING,    /* no word about a book; it may count for the sequence (has_id) */
    UPDATE_WHOLE,      /* replaces the book */
    UPDATE_DIFFERENCE, /* levels to set, size 0 removes */
    UPDATE_BEST        /* the best of both sides */
} update_kind;

enum { UPDATE_NAME_BYTES = 192 }; /* of a name that can't be pointed to, because the message spells it with escapes or in other letters */

typedef struct {
    update_kind kind;
    const uint8_t *name; /* the venue's name of the symbol: btcusdt, BTC/USD; NULL where it says none (a REST body) */
    size_t name_bytes;
    bool has_id;               /* whether the message has a number: Coinbase's sequence begins at 0 */
    uint64_t first_id, last_id; /* Binance: U and u, or lastUpdateId; Coinbase: sequence_num; Bitstamp: microtimestamp; else 0 */
    int64_t time_ns;           /* since 1970, the venue's; 0 where it says none */
    bool has_checksum;
    uint32_t checksum; /* Kraken: CRC-32 of the ten best levels of each side, once this update is applied */
    uint32_t source;   /* Polygon: its number of the exchange; else 0 */

    /* Private to the form: where the levels are, or the best price and its size, a side each; and what it noted about them. */
    const uint8_t *price[2], *size[2], *end;
    const uint8_t *close[2]; /* the brackets behind the levels */
    const uint8_t *more; /* the further updates of the message */
    uint8_t note;
    uint8_t spelled_name[UPDATE_NAME_BYTES]; /* `name` may point here: a copy of an update has the original's name */
} update;

typedef struct {
    const char *name;

    /* Fills *out from a message that has `bytes` bytes, and reads no level. Returns 0 or BOOKS_EMALFORMED. */
    int (*about)(const uint8_t *message, size_t bytes, update *out);

    /* Behind about(), and again until it returns 0: 1 with the next update of the same message (the same last_id, perhaps another symbol), or
     * BOOKS_EMALFORMED. NULL where a message never has more than one. */
    int (*next)(update *of);

    /* Writes the first `limit` levels of a side, in the venue's order, which is nowhere promised to be the book's.
     * Returns how many there were, or an error; it reads nothing behind the limit: who must have all of them asks for one more than
     * there may be. Prices and sizes are never negative, prices never 0; sizes are 0 in a difference alone. */
    ptrdiff_t (*levels)(const update *of, side which, scale by, level *out, size_t limit);

    /* The same as about() for the body of a REST answer: UPDATE_WHOLE without a name. NULL where books come on the websocket alone. */
    int (*snapshot)(const uint8_t *body, size_t bytes, update *out);
} form;

extern const form binance_form, bitstamp_form, coinbase_form, kraken_form, polygon_form;
/* cffi: end */

#endif
