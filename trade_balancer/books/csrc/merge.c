#include <string.h>

#include "table.h"

struct cursor {
    const level *next, *end;
    uint64_t venue; /* among those of the merge */
    uint32_t rank;
};

/* Better price, then larger size, then the venue's name: a total order, as no venue has a price twice. */
static bool comes_before(const struct cursor *one, const struct cursor *other, side which)
{
    if (one->next->price != other->next->price)
        return is_better(which, one->next->price, other->next->price);
    if (one->next->size != other->next->size)
        return one->next->size > other->next->size;
    return one->rank < other->rank;
}

static uint32_t merge_cursors(struct cursor *cursor, uint32_t cursors, side which, struct merged_level *to, uint32_t depth)
{
    uint32_t used = 0;
    while (used < depth && cursors) {
        struct cursor *first = cursor;
        for (uint32_t i = 1; i < cursors; i++)
            if (comes_before(&cursor[i], first, which))
                first = &cursor[i];
        to[used++] = (struct merged_level){first->next->price, first->next->size, first->venue};
        if (++first->next == first->end)
            *first = cursor[--cursors];
    }
    return used;
}

static void merge_side(struct books *books, const struct symbol *symbol, side which)
{
    struct merged *merging = &books->merging;
    struct cursor cursor[BOOKS_VENUES_MAX];
    uint32_t cursors = 0;
    for (uint32_t i = 0; i < merging->venues; i++) {
        if (merging->state[i] != STATE_LIVE)
            continue;
        level *top = books->top + (size_t)i * books->depth;
        const uint32_t venue = merging->venue[i], count = book_top(symbol->book[venue], which, top, books->depth);
        if (count)
            cursor[cursors++] = (struct cursor){top, top + count, i, books->venue[venue].rank};
    }
    merging->count[which] = merge_cursors(cursor, cursors, which, merging->level[which], books->depth);
}

/* The venues that have a book of it, in the order of their names; not those of which nobody knows whether they do. */
static void list_venues(struct books *books, const struct symbol *symbol)
{
    struct merged *merging = &books->merging;
    merging->venues = 0;
    for (uint32_t rank = 0; rank < books->venues; rank++)
        for (uint32_t venue = 0; venue < books->venues; venue++)
            if (books->venue[venue].rank == rank && symbol->book[venue] && symbol->book[venue]->state != STATE_UNKNOWN) {
                merging->venue[merging->venues] = (uint8_t)venue;
                merging->state[merging->venues++] = (uint8_t)book_state(symbol->book[venue]);
            }
}

static bool is_as_before(const struct merged *now, const struct merged *before)
{
    if (!before->is_there || now->venues != before->venues || memcmp(now->count, before->count, sizeof now->count) != 0)
        return false;
    if (memcmp(now->venue, before->venue, now->venues) != 0 || memcmp(now->state, before->state, now->venues) != 0)
        return false;
    for (int which = BID; which <= ASK; which++)
        if (memcmp(now->level[which], before->level[which], now->count[which] * sizeof *now->level[which]) != 0)
            return false;
    return true;
}

static void remember(const struct merged *now, struct merged *last)
{
    last->is_there = true;
    last->venues = now->venues;
    memcpy(last->venue, now->venue, sizeof now->venue);
    memcpy(last->state, now->state, sizeof now->state);
    for (int which = BID; which <= ASK; which++) {
        last->count[which] = now->count[which];
        memcpy(last->level[which], now->level[which], now->count[which] * sizeof *now->level[which]);
    }
}

static void tell_spread(const struct merged *merged, struct summary *to)
{
    if (merged->count[BID] == 0 || merged->count[ASK] == 0)
        return;
    to->has_spread = 1;
    to->spread = merged->level[ASK][0].price - merged->level[BID][0].price;
    to->crossing = to->spread < 0 ? CROSSING_CROSSED : to->spread == 0 ? CROSSING_LOCKED : CROSSING_NONE;
}

_Static_assert(sizeof(struct merged_level) == sizeof(struct summary_level), "a merged level is copied into the summary as it is");

static size_t write_summary(const struct books *books, const struct symbol *symbol, uint64_t sequence, struct summary *to)
{
    const struct merged *merged = &books->merging;
    *to = (struct summary){.sequence = sequence,
                           .received_ns = symbol->received_ns,
                           .venues = merged->venues,
                           .bids = merged->count[BID],
                           .asks = merged->count[ASK],
                           .price_decimals = symbol->by.price_decimals,
                           .size_decimals = symbol->by.size_decimals};
    memcpy(to->symbol, symbol->name, sizeof symbol->name);
    tell_spread(merged, to);
    struct summary_venue *venue = (struct summary_venue *)(to + 1);
    for (uint32_t i = 0; i < merged->venues; i++, venue++) {
        const struct book *book = symbol->book[merged->venue[i]];
        *venue = (struct summary_venue){.time_ns = book->time_ns, .received_ns = book->received_ns, .state = merged->state[i]};
        memcpy(venue->name, books->venue[merged->venue[i]].name, sizeof venue->name);
    }
    uint8_t *end = (uint8_t *)venue;
    for (int which = BID; which <= ASK; which++) {
        const size_t bytes = merged->count[which] * sizeof(struct merged_level);
        memcpy(end, merged->level[which], bytes);
        end += bytes;
    }
    return (size_t)(end - (uint8_t *)to);
}

size_t books_merge_room(const struct books *books)
{
    return sizeof(struct summary) + BOOKS_VENUES_MAX * sizeof(struct summary_venue) + 2 * (size_t)books->depth * sizeof(struct summary_level);
}

size_t books_merge(struct books *books, uint32_t number, uint64_t sequence, struct summary *to)
{
    struct symbol *symbol = &books->symbol[number];
    list_venues(books, symbol);
    merge_side(books, symbol, BID);
    merge_side(books, symbol, ASK);
    if (is_as_before(&books->merging, &symbol->last))
        return 0;
    remember(&books->merging, &symbol->last);
    return write_summary(books, symbol, sequence, to);
}
