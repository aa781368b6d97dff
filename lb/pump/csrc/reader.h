/* One reader: what it is offered, and what its policy makes of that. A reader never holds up anybody.
 *
 *   ring:  [ rest of the frame that was begun to be written | frames ... ]     from head to tail
 *
 * Where records are missing and the reader asked for it, a marker stands in their place: {"ev":"lb","dropped":N}. Of
 * those that wait there is one at most: a gap behind it grows until it is written, or grows it.
 *
 * offered = delivered + waiting + dropped; markers are none of them. */
#ifndef READER_H
#define READER_H

#include "pump.h"
#include "ring.h"
#include "scan.h"

#include <endian.h>
#include <string.h>

enum {
    READER_LENGTH_BYTES = 4,
    READER_MARKER_MAX_BYTES = 64,
    READER_COPY_BYTES = 64, /* copied at once: so the records of a feed take equally many turns, which are foreseen */
    READER_SPARE_BYTES = READER_MARKER_MAX_BYTES + READER_COPY_BYTES /* a marker before the next frame; copies */
};

#define READER_NO_MARKER UINT64_MAX

struct reader {
    int fd; /* the pipe's write end, this process's; -1: there is no reader */
    uint8_t policy;
    uint8_t has_markers;
    uint8_t is_full;         /* the last write met EAGAIN */
    uint8_t is_begun_marker; /* the frame that was begun is one */
    struct ring ring;
    uint64_t head;        /* position of the first byte not written */
    uint64_t tail;        /* behind the last */
    uint64_t begun_bytes; /* from head on, of a frame that was begun to be written */
    uint64_t marker_at;   /* position of the marker that waits, or READER_NO_MARKER */
    uint64_t marker_records;
    uint64_t gap_records; /* dropped before the next record, and in no marker */
    struct pump_reader_counters counters;
};

/* A new one, whose ring is still to be mapped. */
struct reader reader_of(int fd, enum pump_policy policy, int has_markers, uint64_t backlog_bytes);

/* Whether a ring has this capacity: of one that is not believed. */
int reader_is_capacity(uint64_t capacity);

/* Whether this is what a reader may be, but for `fd`; makes anew what can be. Its ring is mapped, and nothing else is believed. */
int reader_prove(struct reader *reader);

/* What another process must know of it, and the other way round: pump.h. reader_restore() returns whether that can be. */
void reader_state(const struct reader *reader, struct pump_reader_state *state, uint8_t *waiting);
int reader_restore(struct reader *reader, const struct pump_reader_state *state, const uint8_t *waiting);

/* Writes what waits, as far as there is room. Returns 0, or -1 when nobody can read it any more. */
int reader_write(struct reader *reader);

/* No room for so many bytes, or a gap before them: makes room as the policy says. Returns whether there is now. */
int reader_make_room(struct reader *reader, size_t bytes);

static inline __attribute__((always_inline)) int reader_has_room(const struct reader *reader, size_t bytes)
{
    return reader->tail + bytes + READER_SPARE_BYTES <= reader->head + reader->ring.capacity;
}

/* Offers a record. Reads READER_COPY_BYTES behind it at most. */
static inline __attribute__((always_inline)) void reader_offer(struct reader *reader, const uint8_t *record, size_t length)
{
    const size_t framed = READER_LENGTH_BYTES + length;
    if (__builtin_expect(!reader_has_room(reader, framed) || reader->gap_records, 0) && !reader_make_room(reader, framed)) {
        reader->counters.offered_total++;
        reader->counters.dropped_total++;
        reader->gap_records++;
        return;
    }
    uint8_t *frame = ring_at(&reader->ring, reader->tail);
    const uint32_t wire_length = htole32((uint32_t)length);
    memcpy(frame, &wire_length, READER_LENGTH_BYTES);
    for (size_t at = 0; at < length; at += READER_COPY_BYTES)
        memcpy(frame + READER_LENGTH_BYTES + at, record + at, READER_COPY_BYTES);
    reader->tail += framed;
    reader->counters.offered_total++;
}

#endif
