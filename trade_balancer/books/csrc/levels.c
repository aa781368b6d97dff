#include "levels.h"

#include <stdlib.h>

enum { FIRST_LEVELS = 1024 };

static int make_room(struct levels *levels, uint32_t wanted)
{
    if (wanted <= levels->capacity)
        return 0;
    for (int which = BID; which <= ASK; which++) {
        level *larger = realloc(levels->side[which], wanted * sizeof *larger);
        if (!larger)
            return LEVELS_ENOMEM;
        levels->side[which] = larger;
    }
    levels->capacity = wanted;
    return 0;
}

/* A side of unknown length is read again with twice the room until it fits: once, for the longest message that comes. */
static int read_side(struct levels *levels, const form *form_, const update *of, side which, scale by, uint32_t limit)
{
    for (;;) {
        const uint32_t room = levels->capacity < limit ? levels->capacity : limit;
        const ptrdiff_t count = room ? form_->levels(of, which, by, levels->side[which], room) : 0;
        if (count < 0)
            return (int)count;
        levels->count[which] = (uint32_t)count;
        if (room == limit || (uint32_t)count < room)
            return 0;
        if (room >= LEVELS_MAX)
            return BOOKS_ETOO_LARGE;
        if (make_room(levels, room * 2))
            return LEVELS_ENOMEM;
    }
}

int levels_read(struct levels *levels, const form *form_, const update *of, scale by, uint32_t limit)
{
    int rc = make_room(levels, FIRST_LEVELS);
    for (int which = BID; which <= ASK && rc == 0; which++)
        rc = read_side(levels, form_, of, (side)which, by, limit);
    return rc;
}

static int bids_first(const void *a, const void *b)
{
    const int64_t one = ((const level *)a)->price, other = ((const level *)b)->price;
    return (one < other) - (one > other);
}

static int asks_first(const void *a, const void *b)
{
    return bids_first(b, a);
}

static bool is_in_order(const level *levels, uint32_t count, side which)
{
    for (uint32_t i = 0; i < count; i++)
        if (levels[i].size == 0 || levels[i].price == 0 || (i && !is_better(which, levels[i - 1].price, levels[i].price)))
            return false;
    return true;
}

bool levels_are_in_order(const struct levels *levels)
{
    return is_in_order(levels->side[BID], levels->count[BID], BID) && is_in_order(levels->side[ASK], levels->count[ASK], ASK);
}

static int put_side_in_order(level *levels, uint32_t *count, side which)
{
    uint32_t used = 0;
    if (is_in_order(levels, *count, which))
        return 0;
    for (uint32_t i = 0; i < *count; i++)
        if (levels[i].size && levels[i].price)
            levels[used++] = levels[i];
    *count = used;
    qsort(levels, used, sizeof *levels, which == BID ? bids_first : asks_first);
    return is_in_order(levels, used, which) ? 0 : BOOKS_EMALFORMED;
}

int levels_put_in_order(struct levels *levels)
{
    const int rc = put_side_in_order(levels->side[BID], &levels->count[BID], BID);
    return rc ? rc : put_side_in_order(levels->side[ASK], &levels->count[ASK], ASK);
}

bool levels_are_crossed(const struct levels *levels)
{
    return levels->count[BID] && levels->count[ASK] && levels->side[BID][0].price >= levels->side[ASK][0].price;
}

void levels_free(struct levels *levels)
{
    free(levels->side[BID]);
    free(levels->side[ASK]);
    *levels = (struct levels){0};
}
