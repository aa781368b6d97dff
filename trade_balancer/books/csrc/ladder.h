/* One side of a book: its levels by price, the best at the end, so that a change near the best moves few of them. */
#ifndef LADDER_H
#define LADDER_H

#include "update.h"

struct ladder {
    level *level;
    uint32_t begin, end, capacity; /* level[begin] is the worst, level[end - 1] the best */
    uint32_t limit;                /* how many ladder_cut leaves */
    side which;
};

enum { LADDER_UNCHANGED = -1, LADDER_ENOMEM = -2 };

static inline uint32_t ladder_count(const struct ladder *ladder)
{
    return ladder->end - ladder->begin;
}

/* The one so many places behind the best. */
static inline const level *ladder_at(const struct ladder *ladder, uint32_t place)
{
    return &ladder->level[ladder->end - 1 - place];
}

static inline bool is_better(side which, int64_t price, int64_t other)
{
    return which == BID ? price > other : price < other;
}

/* Puts a level in, or takes it out where its size is 0. Returns the place where the side changed, LADDER_UNCHANGED or LADDER_ENOMEM. */
int64_t ladder_set(struct ladder *ladder, level wanted);

/* Replaces all by levels in strict order, the best first. Returns 0 or LADDER_ENOMEM. */
int ladder_fill(struct ladder *ladder, const level *best_first, uint32_t count);

/* Forgets what is beyond the limit, and gives back memory far beyond it. */
void ladder_cut(struct ladder *ladder);

void ladder_clear(struct ladder *ladder);
void ladder_free(struct ladder *ladder);

#endif
