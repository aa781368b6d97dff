#include "book.h"

#include <stdlib.h>
#include <string.h>

/* What an update is ordered by: its id, or its time where the venue has no ids. */
static uint64_t id_of(const update *about)
{
    return about->last_id ? about->last_id : (uint64_t)about->time_ns;
}

/* Of several with one time the last one counts: a venue has more than one in a millisecond. */
static bool is_news(const update *about, uint64_t than)
{
    return about->last_id ? about->last_id > than : id_of(about) >= than;
}

void book_init(struct book *book, const form *form_, enum books_rule rule, scale by, uint32_t limit)
{
    *book = (struct book){.form = form_, .rule = rule, .by = by, .limit = limit, .state = STATE_LIVE};
    for (int which = BID; which <= ASK; which++)
        book->side[which] = (struct ladder){.which = (side)which, .limit = limit};
}

void book_free(struct book *book, struct reading *reading)
{
    ladder_free(&book->side[BID]);
    ladder_free(&book->side[ASK]);
    kept_free(&book->kept, &reading->kept_bytes);
    free(book->name);
}

static void put_out(struct book *book)
{
    book->is_synced = book->is_crossed = book->has_best = false;
    book->last_id = book->best_id = 0;
    ladder_clear(&book->side[BID]);
    ladder_clear(&book->side[ASK]);
}

int book_fault(struct book *book, enum books_why why)
{
    put_out(book);
    book->faults_total++;
    return -(int)why;
}

void book_reset(struct book *book, struct reading *reading)
{
    put_out(book);
    kept_free(&book->kept, &reading->kept_bytes);
}

/* What the form or the reading of levels found. */
static int fault_of(struct book *book, int rc)
{
    switch (rc) {
    case BOOKS_EINEXACT: return book_fault(book, WHY_INEXACT);
    case BOOKS_ETOO_LARGE: return book_fault(book, WHY_TOO_LARGE);
    case LEVELS_ENOMEM: put_out(book); return BOOK_ENOMEM;
    default: return book_fault(book, WHY_MALFORMED);
    }
}

static bool is_crossed(const struct book *book)
{
    const struct ladder *bids = &book->side[BID], *asks = &book->side[ASK];
    return ladder_count(bids) && ladder_count(asks) && ladder_at(bids, 0)->price >= ladder_at(asks, 0)->price;
}

static void told(struct book *book, const update *about, int64_t received_ns)
{
    book->last_id = id_of(about);
    book->has_best = book->has_best && book->best_id > book->last_id;
    book->time_ns = about->time_ns;
    book->received_ns = received_ns;
}

/* Whether the first levels of both sides are others than the book's. */
static bool differs(const struct book *book, const struct levels *levels, uint32_t depth)
{
    for (int which = BID; which <= ASK; which++) {
        const struct ladder *ladder = &book->side[which];
        const uint32_t count = levels->count[which] < depth ? levels->count[which] : depth;
        if (count != (ladder_count(ladder) < depth ? ladder_count(ladder) : depth))
            return true;
        for (uint32_t place = 0; place < count; place++) {
            const level *one = ladder_at(ladder, place), *other = &levels->side[which][place];
            if (one->price != other->price || one->size != other->size)
                return true;
        }
    }
    return false;
}

/* The levels that were read take the place of what is there. */
static int replace(struct book *book, const struct reading *reading, const update *about, int64_t received_ns)
{
    const struct levels *levels = &reading->levels;
    const bool has_changed = !book->is_synced || book->has_best || differs(book, levels, reading->depth);
    for (int which = BID; which <= ASK; which++) {
        const uint32_t count = levels->count[which] < book->limit ? levels->count[which] : book->limit;
        if (ladder_fill(&book->side[which], levels->side[which], count)) {
            put_out(book);
            return BOOK_ENOMEM;
        }
    }
    book->is_synced = true;
    book->is_crossed = false;
    told(book, about, received_ns);
    return has_changed ? BOOK_CHANGED : BOOK_UNCHANGED;
}

/* Sets the levels that were read one by one: where a price stands twice, the last counts. */
static int apply(struct book *book, struct reading *reading, const update *about, int64_t received_ns)
{
    int rc = levels_read(&reading->levels, book->form, about, book->by, UINT32_MAX);
    if (rc)
        return fault_of(book, rc);
    bool has_changed = book->has_best;
    for (int which = BID; which <= ASK; which++) {
        struct ladder *ladder = &book->side[which];
        for (uint32_t i = 0; i < reading->levels.count[which]; i++) {
            const int64_t place = ladder_set(ladder, reading->levels.side[which][i]);
            if (place == LADDER_ENOMEM) {
                put_out(book);
                return BOOK_ENOMEM;
            }
            has_changed |= place >= 0 && place < reading->depth;
        }
        ladder_cut(ladder);
    }
    told(book, about, received_ns);
    if (is_crossed(book))
        return book_fault(book, WHY_CROSSED);
    return has_changed ? BOOK_CHANGED : BOOK_UNCHANGED;
}

/* All of a book's levels; or no more than there may be where they come best first, which those that were read must prove. */
static int read_whole(struct book *book, struct reading *reading, const update *about)
{
    int rc = BOOKS_EMALFORMED;
    if (book->rule == RULE_WHOLE_EACH_TIME && book->is_limited) {
        rc = levels_read(&reading->levels, book->form, about, book->by, book->limit);
        if (rc || levels_are_in_order(&reading->levels))
            return rc;
    }
    rc = levels_read(&reading->levels, book->form, about, book->by, UINT32_MAX);
    return rc ? rc : levels_put_in_order(&reading->levels);
}

/* Best bid and ask alone, which come sooner than the levels do: shown before these until they are newer. */
static int take_best(struct book *book, struct reading *reading, const update *about, int64_t received_ns)
{
    const bool can_begin = book->rule == RULE_WHOLE_EACH_TIME; /* the best alone is a book, too */
    if (!(book->is_synced || can_begin) || !is_news(about, book->last_id) || !is_news(about, book->best_id))
        return BOOK_UNCHANGED;
    const int rc = read_whole(book, reading, about);
    if (rc)
        return fault_of(book, rc);
    const struct levels *levels = &reading->levels;
    if (levels_are_crossed(levels))
        return book_fault(book, WHY_CROSSED);
    bool has_changed = !book->is_synced;
    for (int which = BID; which <= ASK; which++) {
        level before = {0, 0};
        book_top(book, (side)which, &before, 1);
        const level now = levels->count[which] ? levels->side[which][0] : (level){0, 0};
        has_changed |= now.price != before.price || now.size != before.size;
        book->best[which] = now;
    }
    book->is_synced = book->has_best = true;
    book->best_id = id_of(about);
    book->received_ns = received_ns;
    if (about->time_ns)
        book->time_ns = about->time_ns;
    return has_changed ? BOOK_CHANGED : BOOK_UNCHANGED;
}

/* One message that is crossed in itself is held back: Bitstamp documents that its next may put it right. */
static int take_whole(struct book *book, struct reading *reading, const update *about, int64_t received_ns)
{
    if (book->rule == RULE_WHOLE_EACH_TIME && book->is_synced && id_of(about) < book->last_id)
        return BOOK_UNCHANGED; /* an older one, repeated; other rules have whole books behind a subscription, and know them by their place */
    const int rc = read_whole(book, reading, about);
    if (rc)
        return fault_of(book, rc);
    if (!levels_are_crossed(&reading->levels))
        return replace(book, reading, about, received_ns);
    const bool is_second = book->is_crossed || book->rule != RULE_WHOLE_EACH_TIME;
    book->is_crossed = true;
    return is_second ? book_fault(book, WHY_CROSSED) : BOOK_UNCHANGED;
}

/* Keeps a difference for the snapshot to come. A hole among those kept makes the ones before it worthless. */
static int keep(struct book *book, struct reading *reading, const update *about, const uint8_t *message, size_t bytes)
{
    struct kept *kept = &book->kept;
    const bool has_hole = kept->used && book->rule == RULE_IDS && about->first_id > kept->last_id + 1;
    if (has_hole)
        kept_free(kept, &reading->kept_bytes);
    int why = 0;
    if (kept_add(kept, &reading->kept_bytes, message, bytes)) {
        why = WHY_OVERFLOW;
        kept_free(kept, &reading->kept_bytes);
        if (kept_add(kept, &reading->kept_bytes, message, bytes))
            return book_fault(book, WHY_OVERFLOW);
    }
    if (kept->first_id == 0)
        kept->first_id = about->first_id;
    if (about->last_id > kept->last_id)
        kept->last_id = about->last_id;
    return why ? book_fault(book, WHY_OVERFLOW) : BOOK_UNCHANGED;
}

static int take_difference(struct book *book, struct reading *reading, const update *about, const uint8_t *message, size_t bytes,
                           int64_t received_ns)
{
    if (!book->is_synced)
        return keep(book, reading, about, message, bytes);
    if (about->last_id <= book->last_id)
        return BOOK_UNCHANGED; /* a repeated one, or one that the snapshot has in it */
    if (book->rule == RULE_IDS && about->first_id > book->last_id + 1) {
        put_out(book);
        const int rc = keep(book, reading, about, message, bytes);
        return rc < 0 ? rc : book_fault(book, WHY_GAP);
    }
    return apply(book, reading, about, received_ns);
}

static int check(struct book *book, const struct reading *reading, const update *about, int rc)
{
    if (rc < 0 || !about->has_checksum)
        return rc;
    const uint32_t checksum = checksum_of(&reading->checksum, &book->side[BID], &book->side[ASK], book->checksum_shift);
    return checksum == about->checksum ? rc : book_fault(book, WHY_CHECKSUM);
}

int book_take(struct book *book, struct reading *reading, const update *about, const uint8_t *message, size_t bytes, int64_t received_ns)
{
    const bool waits_for_snapshot = book->rule == RULE_IDS || book->rule == RULE_TIMES;
    book->messages_total++;
    switch (about->kind) {
    case UPDATE_NOTHING: return BOOK_UNCHANGED;
    case UPDATE_BEST: return take_best(book, reading, about, received_ns);
    case UPDATE_WHOLE:
        return waits_for_snapshot ? BOOK_UNCHANGED : check(book, reading, about, take_whole(book, reading, about, received_ns));
    case UPDATE_DIFFERENCE: break;
    }
    if (waits_for_snapshot)
        return take_difference(book, reading, about, message, bytes, received_ns);
    if (book->rule == RULE_WHOLE_EACH_TIME || !book->is_synced)
        return BOOK_UNCHANGED;
    return check(book, reading, about, apply(book, reading, about, received_ns));
}

/* Brings the snapshot up to now. What was kept is of no more use, also where it puts the book out. */
static int apply_kept(struct book *book, struct reading *reading, int64_t received_ns)
{
    size_t bytes, at = 0;
    int rc = BOOK_CHANGED;
    for (const uint8_t *message; rc >= 0 && (message = kept_next(&book->kept, &at, &bytes));) {
        update about = {0};
        rc = book->form->about(message, bytes, &about);
        if (rc < 0)
            rc = fault_of(book, rc);
        else if (about.last_id > book->last_id)
            rc = apply(book, reading, &about, received_ns);
    }
    kept_free(&book->kept, &reading->kept_bytes);
    return rc < 0 ? rc : BOOK_CHANGED;
}

int book_snapshot(struct book *book, struct reading *reading, const uint8_t *body, size_t bytes, int64_t received_ns)
{
    update about = {0};
    int rc = book->form->snapshot ? book->form->snapshot(body, bytes, &about) : BOOKS_EMALFORMED;
    if (rc < 0)
        return fault_of(book, rc);
    if (book->is_synced && about.last_id <= book->last_id)
        return BOOK_UNCHANGED;
    const struct kept *kept = &book->kept;
    const uint64_t wanted_id = book->rule == RULE_IDS ? kept->first_id - 1 : kept->first_id;
    if (kept->used && about.last_id < wanted_id)
        return book_fault(book, WHY_OLD);
    rc = take_whole(book, reading, &about, received_ns);
    return rc < 0 || !kept->used ? rc : apply_kept(book, reading, received_ns);
}

uint32_t book_top(const struct book *book, side which, level *to, uint32_t count)
{
    const struct ladder *ladder = &book->side[which];
    uint32_t used = 0, place = 0;
    if (!book->is_synced || count == 0)
        return 0;
    if (book->has_best) {
        const level best = book->best[which];
        if (best.size == 0)
            return 0;
        to[used++] = best;
        while (place < ladder_count(ladder) && !is_better(which, best.price, ladder_at(ladder, place)->price))
            place++; /* levels that are gone since, or this one as it was */
    }
    for (; used < count && place < ladder_count(ladder); place++)
        to[used++] = *ladder_at(ladder, place);
    return used;
}
