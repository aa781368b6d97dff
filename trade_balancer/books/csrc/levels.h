/* The levels of one message, read into memory that all messages share, and what has to be so before a book believes them. */
#ifndef LEVELS_H
#define LEVELS_H

#include "ladder.h"

enum { LEVELS_MAX = 1 << 20 /* of a side of a message */, LEVELS_ENOMEM = -100 };

struct levels {
    level *side[2];
    uint32_t count[2];
    uint32_t capacity; /* of each side */
};

/* Reads both sides, at most `limit` levels of each. Returns 0, or the form's error, BOOKS_ETOO_LARGE or LEVELS_ENOMEM. */
int levels_read(struct levels *levels, const form *form_, const update *of, scale by, uint32_t limit);

/* Whether each side has its best first, no price twice, and levels only. */
bool levels_are_in_order(const struct levels *levels);

/* Leaves out what is no level (nothing at that price, or price 0) and puts the best first. BOOKS_EMALFORMED where a price stands twice. */
int levels_put_in_order(struct levels *levels);

/* Whether the best bid is not below the best ask; of levels in order. */
bool levels_are_crossed(const struct levels *levels);

void levels_free(struct levels *levels);

#endif
