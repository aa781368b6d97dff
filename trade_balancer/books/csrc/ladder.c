#include "ladder.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_LEVELS = 16, NEAR_THE_BEST = 16, SPARE_DIVISOR = 8 };

/* At most an eighth more than the limit, but for the moment within a message in which there may be more. */
static uint32_t roomier(const struct ladder *ladder, uint32_t wanted)
{
    const uint32_t full = ladder->limit + ladder->limit / SPARE_DIVISOR + 1;
    uint32_t capacity = ladder->capacity ? ladder->capacity + ladder->capacity / 2 : FIRST_LEVELS;
    if (ladder->capacity < full && capacity > full)
        capacity = full;
    return capacity < wanted ? wanted : capacity;
}

static int resize(struct ladder *ladder, uint32_t capacity)
{
    level *larger = realloc(ladder->level, capacity * sizeof *larger);
    if (!larger)
        return LADDER_ENOMEM;
    ladder->level = larger;
    ladder->capacity = capacity;
    return 0;
}

static void slide_to_the_front(struct ladder *ladder)
{
    const uint32_t count = ladder_count(ladder);
    if (ladder->begin == 0)
        return;
    memmove(ladder->level, ladder->level + ladder->begin, count * sizeof *ladder->level);
    ladder->begin = 0;
    ladder->end = count;
}

/* Room for one more at the end. Cutting leaves room at the front: taking that costs a move of all only once in limit / 8 times. */
static int make_room(struct ladder *ladder)
{
    if (ladder->end < ladder->capacity)
        return 0;
    const bool has_grown = ladder_count(ladder) >= ladder->limit;
    if (ladder->begin > 0 && (has_grown || ladder->begin > ladder->capacity / SPARE_DIVISOR)) {
        slide_to_the_front(ladder);
        return 0;
    }
    return resize(ladder, roomier(ladder, ladder->end + 1));
}

/* The lowest index whose level is not worse than the price; the end where all are. */
static uint32_t find(const struct ladder *ladder, int64_t price)
{
    const side which = ladder->which;
    uint32_t low = ladder->begin, high = ladder->end;
    for (uint32_t tried = 0; tried < NEAR_THE_BEST && high > low; tried++, high--)
        if (is_better(which, price, ladder->level[high - 1].price))
            return high;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (is_better(which, price, ladder->level[middle].price))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void take_out(struct ladder *ladder, uint32_t index)
{
    memmove(ladder->level + index, ladder->level + index + 1, (ladder->end - index - 1) * sizeof *ladder->level);
    ladder->end--;
}

int64_t ladder_set(struct ladder *ladder, level wanted)
{
    uint32_t index = find(ladder, wanted.price);
    const bool is_there = index < ladder->end && ladder->level[index].price == wanted.price;
    if (is_there) {
        const int64_t place = (int64_t)ladder->end - 1 - index;
        if (ladder->level[index].size == wanted.size)
            return LADDER_UNCHANGED;
        if (wanted.size == 0)
            take_out(ladder, index);
        else
            ladder->level[index].size = wanted.size;
        return place;
    }
    if (wanted.size == 0)
        return LADDER_UNCHANGED;
    const uint32_t behind = index - ladder->begin;
    if (make_room(ladder))
        return LADDER_ENOMEM;
    index = ladder->begin + behind;
    memmove(ladder->level + index + 1, ladder->level + index, (ladder->end - index) * sizeof *ladder->level);
    ladder->level[index] = wanted;
    ladder->end++;
    return (int64_t)ladder->end - 1 - index;
}

int ladder_fill(struct ladder *ladder, const level *best_first, uint32_t count)
{
    ladder_clear(ladder);
    if (count > ladder->capacity && resize(ladder, count)) /* exactly: most books stay as deep as they begin */
        return LADDER_ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        ladder->level[count - 1 - i] = best_first[i];
    ladder->end = count;
    return 0;
}

void ladder_cut(struct ladder *ladder)
{
    const uint32_t count = ladder_count(ladder);
    if (count > ladder->limit)
        ladder->begin += count - ladder->limit;
    const uint32_t full = ladder->limit + ladder->limit / SPARE_DIVISOR + FIRST_LEVELS;
    if (ladder->capacity > full) {
        slide_to_the_front(ladder);
        (void)resize(ladder, full); /* where it fails, there is the memory we had */
    }
}

void ladder_clear(struct ladder *ladder)
{
    ladder->begin = ladder->end = 0;
}

void ladder_free(struct ladder *ladder)
{
    free(ladder->level);
    ladder->level = NULL;
    ladder->capacity = 0;
    ladder_clear(ladder);
}
