/* The book of one symbol at one venue, and the rules by which it keeps in step with the venue.
 *
 * A book is in step ("synced") or out. Out it shows nothing, and waits for a snapshot or a whole book. Whatever it can't prove puts it out. */
#ifndef BOOK_H
#define BOOK_H

#include "checksum.h"
#include "kept.h"
#include "levels.h"

/* cffi: begin */
enum books_rule {
    RULE_WHOLE_EACH_TIME, /* every message is the whole book */
    RULE_IDS,             /* differences with first and last id; those before the snapshot are kept and applied behind it */
    RULE_SEQUENCE,        /* the venue counts its messages: one missing puts all its books out */
    RULE_CHECKSUM,        /* the messages tell the checksum of the book as it is behind them */
    RULE_TIMES            /* differences with times, to be compared with the snapshot's; nothing tells of a lost one */
};

/* Why a book is out. */
enum books_why {
    WHY_GAP = 1,
    WHY_CHECKSUM,
    WHY_CROSSED,
    WHY_INEXACT,   /* more decimals than the symbol has */
    WHY_TOO_LARGE, /* a number beyond 64 bits, or more levels than a message may have */
    WHY_MALFORMED,
    WHY_OVERFLOW,  /* more differences before the snapshot than are kept; it begins anew with the newest */
    WHY_OLD        /* the snapshot is older than the first difference kept, which stay for the next one */
};

/* What a venue's book is for those who merge. */
enum books_state { STATE_UNKNOWN, STATE_LIVE, STATE_STALE, STATE_SYNCING, STATE_DOWN };
/* cffi: end */

enum { BOOK_UNCHANGED = 0, BOOK_CHANGED = 1, BOOK_ENOMEM = -100 }; /* a fault is -enum books_why */

/* What all the books share. */
struct reading {
    struct levels levels;
    struct checksum checksum;
    size_t kept_bytes;
    uint32_t depth; /* of what is merged: changes beyond it are none */
};

struct book {
    uint8_t *name; /* the venue's */
    size_t name_bytes;
    uint32_t source;
    uint32_t venue, symbol;
    const form *form;
    enum books_rule rule;
    enum books_state state; /* as its keeper says */
    bool is_synced;
    bool is_crossed; /* the message before was, and was held back */
    scale by;
    uint8_t checksum_shift[2];
    uint32_t limit;
    bool is_limited; /* the limit is the venue's: no more levels than that are read of a whole book, where they come best first */
    struct ladder side[2];
    uint64_t last_id;
    int64_t time_ns, received_ns;
    bool has_best; /* that is newer than the levels */
    level best[2]; /* a size of 0 is an empty side */
    uint64_t best_id;
    struct kept kept;
    uint64_t messages_total, faults_total;
};

void book_init(struct book *book, const form *form_, enum books_rule rule, scale by, uint32_t limit);
void book_free(struct book *book, struct reading *reading);

/* A message of the venue that is about this book. Returns BOOK_CHANGED, BOOK_UNCHANGED, a fault or BOOK_ENOMEM: then it is out. */
int book_take(struct book *book, struct reading *reading, const update *about, const uint8_t *message, size_t bytes, int64_t received_ns);

/* The same for the body of a snapshot. */
int book_snapshot(struct book *book, struct reading *reading, const uint8_t *body, size_t bytes, int64_t received_ns);

/* Puts it out for a fault other than those it finds itself. */
int book_fault(struct book *book, enum books_why why);

/* Puts it out; differences that wait for the snapshot are forgotten. */
void book_reset(struct book *book, struct reading *reading);

/* Copies the best levels, at most `count`, the best first. Returns how many: none of a book that is out. */
uint32_t book_top(const struct book *book, side which, level *to, uint32_t count);

/* The keeper's word, but for a live book that is out. */
static inline enum books_state book_state(const struct book *book)
{
    return book->state == STATE_LIVE && !book->is_synced ? STATE_SYNCING : book->state;
}

#endif
