/* Law: reads the caller's bytes, makes no system call, allocates nothing, keeps all state in struct scan.
 *
 * Cuts the text of one message, a JSON array of objects or one object alone, into records: the objects' bytes, exactly
 * as received. Elements of the array that are no objects are passed over. Two scanners agree on every input:
 *  - scan_flat() proves the end of a flat record (no object inside, nothing escaped, ASCII) with vector compares;
 *  - scan_next() knows strings, escapes and nesting, and can be stopped and resumed between any two bytes.
 * A record is delimited, not validated: it ends at the brace that closes it outside of strings. JSON inside it that
 * is malformed in any other way is passed on as received. */
#ifndef SCAN_H
#define SCAN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "pump_rc.h"
#include "utf8.h"

/* scan_flat() may load, but never uses, this many bytes behind the text. */
enum { SCAN_PAD_BYTES = 16 };

enum scan_state {
    SCAN_START,   /* wants '[', or '{' where the message is one record */
    SCAN_MARK_1,  /* behind the first byte of a byte order mark in front of it; behind the second: */
    SCAN_MARK_2,
    SCAN_FIRST,   /* behind '[': an element or ']' */
    SCAN_NEXT,    /* behind ',': an element */
    SCAN_RECORD,  /* inside a record */
    SCAN_ELEMENT, /* inside an element that is none: it is passed over */
    SCAN_BEHIND,  /* behind an element: ',' or ']' */
    SCAN_END,     /* behind ']', or the one record: nothing but white space */
    SCAN_SKIP     /* the message is malformed: its rest is passed over */
};

/* State within one message. All zero at its start. */
struct scan {
    uint8_t state;
    uint8_t in_string;
    uint8_t escaped;
    uint8_t checks_utf8; /* a text message; a binary one may hold any bytes */
    uint8_t is_single;   /* the message is no array, but one record */
    struct utf8 utf8;
    uint32_t depth;      /* braces open; of an element that is no object, brackets too */
    size_t scanned;      /* bytes of the record, or mark, in hand that were looked at before */
    size_t skipped_bytes; /* passed over by the last call: of elements that are no objects, or behind a fault */
};

struct scan_span {
    size_t start;
    size_t length;
};

/* Looks for the next record from text[0] on. Returns 1 with the record's place in *record, 0 when the text is used
 * up, or an error. Where 1: the caller drops record->start + record->length bytes. Where 0 or an error: it drops
 * record->start bytes (those behind are the beginning of a record: they must stand at text[0] of the next call,
 * followed by more). PUMP_ERR_NOT_OBJECT is of one element: the records behind it are found by the next calls. After
 * any other error of the message, its rest is passed over. */
int scan_next(struct scan *scan, const uint8_t *text, size_t available, struct scan_span *record);

/* Gives up the message: its rest, from the text's first byte on, is passed over. */
static inline void scan_skip(struct scan *scan)
{
    *scan = (struct scan){.state = SCAN_SKIP, .checks_utf8 = scan->checks_utf8, .skipped_bytes = scan->skipped_bytes};
}

/* Returns 0 when a message may end here, or the error that it may not. */
int scan_finish(const struct scan *scan);

/* Where the record begins that scan_flat() may be tried on: behind the separator that text begins with, or at once
 * where a message begins. `available` where there is none. */
static inline size_t scan_open_at(const struct scan *scan, const uint8_t *text, size_t available)
{
    if (available < 3)
        return available;
    if (text[1] == '{' &&
        ((scan->state == SCAN_BEHIND && text[0] == ',') || (scan->state == SCAN_START && text[0] == '[')))
        return 1;
    return scan->state == SCAN_START && text[0] == '{' ? 0 : available;
}

/* A record was found at scan_open_at(), without scan_next(). */
static inline void scan_pass(struct scan *scan, size_t open_at)
{
    scan->state = open_at ? SCAN_BEHIND : SCAN_END;
}

/* Returns the length of the flat record that begins at text[0] == '{', or 0 where it cannot prove one: then
 * scan_next() decides.
 *
 * The first byte >= '{' behind the opening brace must be '}'. When no byte before it is a backslash and the quotes
 * before it are even in number, it stands outside of any string and closes the record. Every byte before it is
 * ASCII. */
static inline size_t scan_flat(const uint8_t *text, size_t available)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    const __m128i lift = _mm_set1_epi8(0x80 - '{'); /* saturating: sets the top bit of every byte >= '{' */
    __m128i quotes = _mm_setzero_si128();
    __m128i backslashes = _mm_setzero_si128();
    for (size_t at = 1; at < available; at += sizeof(__m128i)) {
        const __m128i block = _mm_loadu_si128((const __m128i *)(const void *)(text + at));
        const unsigned hits = (unsigned)_mm_movemask_epi8(_mm_adds_epu8(block, lift));
        const __m128i is_quote = _mm_cmpeq_epi8(block, quote);
        const __m128i is_backslash = _mm_cmpeq_epi8(block, backslash);
        if (hits) {
            const unsigned hit = (unsigned)__builtin_ctz(hits);
            const unsigned before = (1U << hit) - 1;
            const unsigned odd = ((unsigned)_mm_movemask_epi8(is_quote) & before) ^ (unsigned)_mm_movemask_epi8(quotes);
            const unsigned escapes =
                ((unsigned)_mm_movemask_epi8(is_backslash) & before) | (unsigned)_mm_movemask_epi8(backslashes);
            const size_t end = at + hit;
            if (end >= available || text[end] != '}' || escapes || __builtin_parity(odd))
                return 0;
            return end + 1;
        }
        quotes = _mm_xor_si128(quotes, is_quote);
        backslashes = _mm_or_si128(backslashes, is_backslash);
    }
    return 0;
#else
    unsigned odd = 0;
    for (size_t at = 1; at < available; at++) {
        if (text[at] >= '{')
            return text[at] == '}' && !odd ? at + 1 : 0;
        if (text[at] == '\\')
            return 0;
        odd ^= text[at] == '"';
    }
    return 0;
#endif
}

#endif
