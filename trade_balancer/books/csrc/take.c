#include <stdlib.h>
#include <string.h>

#include "table.h"

enum { MESSAGE_REPEATED = 1 };
enum { HEAD_BYTES = sizeof(uint32_t), FAULTS_MAX = 256 /* a call that has told of so many ends; its last message may bring more */ };

static void begin(struct books *books)
{
    for (uint32_t i = 0; i < books->taken.changed; i++)
        books->symbol[books->changed[i]].is_changed = false;
    books->taken = (struct books_taken){.changed_symbols = books->changed};
}

static void tell_change(struct books *books, uint32_t number, int64_t received_ns)
{
    struct symbol *symbol = &books->symbol[number];
    symbol->received_ns = received_ns;
    if (symbol->is_changed)
        return;
    symbol->is_changed = true;
    books->changed[books->taken.changed++] = number;
}

static int tell_fault(struct books *books, uint32_t venue, int32_t symbol, uint32_t why)
{
    if (books->taken.faults == books->fault_capacity) {
        const uint32_t capacity = books->fault_capacity ? books->fault_capacity * 2 : FAULTS_MAX;
        struct books_fault *larger = realloc(books->fault, capacity * sizeof *larger);
        if (!larger)
            return BOOKS_ERR_MEMORY;
        books->fault = larger;
        books->fault_capacity = capacity;
    }
    books->fault[books->taken.faults++] = (struct books_fault){venue, symbol, why};
    return 0;
}

/* What a book made of a message. */
static int tell(struct books *books, const struct book *book, int rc, int64_t received_ns)
{
    if (rc != BOOK_UNCHANGED)
        tell_change(books, book->symbol, received_ns);
    if (rc == BOOK_ENOMEM)
        return BOOKS_ERR_MEMORY;
    return rc < 0 ? tell_fault(books, book->venue, (int32_t)book->symbol, (uint32_t)-rc) : 0;
}

/* A message of the venue was lost, and whose it was nobody knows: all of its books that would not notice are out. */
static int put_all_out(struct books *books, uint32_t venue, enum books_rule rule, enum books_why why, int64_t received_ns)
{
    const struct names *names = &books->venue[venue].names;
    int rc = 0;
    for (uint32_t i = 0; i < names->capacity; i++) {
        struct book *book = names->slot[i];
        if (book && book->rule == rule && book->is_synced)
            rc |= tell(books, book, book_fault(book, why), received_ns);
    }
    return rc;
}

/* One count for all of a venue's messages: who has no such books never looks at it. Returns 0, MESSAGE_REPEATED or an error. */
static int count_message(struct books *books, uint32_t number, const update *about, int64_t received_ns)
{
    struct venue *venue = &books->venue[number];
    if (!venue->is_counted || !about->has_id)
        return 0;
    const bool begins = about->last_id == 0; /* a session, where the one before may have had no more than this, too */
    if (venue->has_sequence && about->last_id == venue->sequence && !begins) {
        venue->repeats_total++;
        return MESSAGE_REPEATED;
    }
    const bool has_gap = venue->has_sequence && about->last_id != venue->sequence + 1;
    venue->has_sequence = true;
    venue->sequence = about->last_id;
    return has_gap ? put_all_out(books, number, RULE_SEQUENCE, WHY_GAP, received_ns) : 0;
}

static struct book *book_of(const struct books *books, uint32_t venue, const update *about)
{
    return about->name ? names_find(&books->venue[venue].names, about->name, about->name_bytes, about->source) : NULL;
}

/* A message that can't be read: what it would have changed is not known. */
static int take_malformed(struct books *books, uint32_t venue, struct book *book, int64_t received_ns)
{
    if (book)
        return tell(books, book, book_fault(book, WHY_MALFORMED), received_ns);
    if (tell_fault(books, venue, -1, WHY_MALFORMED))
        return BOOKS_ERR_MEMORY;
    return put_all_out(books, venue, RULE_TIMES, WHY_MALFORMED, received_ns);
}

static int take_message(struct books *books, uint32_t number, const uint8_t *message, size_t bytes, int64_t received_ns)
{
    const form *form_ = books->venue[number].form;
    update about = {0};
    int rc = form_->about(message, bytes, &about);
    const int counted = rc < 0 ? 0 : count_message(books, number, &about, received_ns);
    if (counted)
        return counted < 0 ? counted : 0;
    for (;;) {
        struct book *book = book_of(books, number, &about); /* none: of a symbol that was closed a moment ago, or never opened */
        if (rc < 0)
            return take_malformed(books, number, book, received_ns);
        if (book && about.kind != UPDATE_NOTHING) {
            const int made = book_take(book, &books->reading, &about, message, bytes, received_ns);
            if (tell(books, book, made, received_ns))
                return BOOKS_ERR_MEMORY;
        }
        rc = form_->next ? form_->next(&about) : 0;
        if (rc == 0)
            return 0;
    }
}

int books_take(struct books *books, uint32_t venue, const uint8_t *bytes, size_t length, int64_t received_ns)
{
    size_t at = 0;
    int rc = 0;
    begin(books);
    while (rc == 0 && length - at >= HEAD_BYTES && books->taken.faults < FAULTS_MAX) {
        uint32_t message_bytes;
        memcpy(&message_bytes, bytes + at, HEAD_BYTES);
        if (length - at - HEAD_BYTES < message_bytes)
            break;
        books->venue[venue].messages_total++;
        rc = take_message(books, venue, bytes + at + HEAD_BYTES, message_bytes, received_ns);
        at += HEAD_BYTES + message_bytes;
    }
    books->taken.consumed_bytes = at;
    books->taken.fault = books->fault;
    return rc;
}

int books_snapshot(struct books *books, uint32_t venue, uint32_t symbol, const uint8_t *body, size_t length, int64_t received_ns)
{
    begin(books);
    struct book *book = books->symbol[symbol].book[venue];
    const int made = book_snapshot(book, &books->reading, body, length, received_ns);
    const int rc = tell(books, book, made, received_ns);
    books->taken.consumed_bytes = length;
    books->taken.fault = books->fault;
    return rc;
}

uint64_t books_messages(const struct books *books, uint32_t venue)
{
    return books->venue[venue].messages_total;
}

uint64_t books_repeats(const struct books *books, uint32_t venue)
{
    return books->venue[venue].repeats_total;
}

const struct books_taken *books_taken(const struct books *books)
{
    return &books->taken;
}
