#include "reader.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define POSITION_MAX (UINT64_MAX / 4) /* no sum with it overflows */

struct reader reader_of(int fd, enum pump_policy policy, int has_markers, uint64_t backlog_bytes)
{
    return (struct reader){
        .fd = fd,
        .policy = (uint8_t)policy,
        .has_markers = has_markers != 0,
        .ring = {.capacity = ring_capacity(backlog_bytes)},
        .marker_at = READER_NO_MARKER,
    };
}

static uint64_t framed_bytes(const struct reader *reader, uint64_t position)
{
    uint32_t wire_length;
    memcpy(&wire_length, ring_at(&reader->ring, position), READER_LENGTH_BYTES);
    return READER_LENGTH_BYTES + (uint64_t)le32toh(wire_length);
}

void reader_state(const struct reader *reader, struct pump_reader_state *state, uint8_t *waiting)
{
    const uint64_t waiting_bytes = reader->tail - reader->head;
    *state = (struct pump_reader_state){
        .counters = reader->counters,
        .begun_bytes = reader->begun_bytes,
        .marker_at = reader->marker_at == READER_NO_MARKER ? READER_NO_MARKER : reader->marker_at - reader->head,
        .marker_records = reader->marker_records,
        .gap_records = reader->gap_records,
        .is_begun_marker = reader->is_begun_marker,
        .policy = reader->policy,
        .has_markers = reader->has_markers,
        .backlog_bytes = reader->ring.capacity,
        .fd = reader->fd,
    };
    memcpy(waiting, ring_at(&reader->ring, reader->head), waiting_bytes);
}

int reader_is_capacity(uint64_t capacity)
{
    return capacity <= PUMP_BACKLOG_MAX_BYTES && capacity == ring_capacity(capacity);
}

/* Whether frames stand one behind the other from what was begun on, a marker where one is said to be, and as many records as are
 * said to wait. */
static int are_frames(const struct reader *reader)
{
    const struct pump_reader_counters *counters = &reader->counters;
    uint64_t records = reader->begun_bytes && !reader->is_begun_marker;
    int has_marker = reader->marker_at == READER_NO_MARKER;
    for (uint64_t at = reader->head + reader->begun_bytes; at < reader->tail;) {
        const uint64_t left_bytes = reader->tail - at;
        if (left_bytes < READER_LENGTH_BYTES || framed_bytes(reader, at) > left_bytes)
            return 0;
        has_marker |= at == reader->marker_at;
        records += at != reader->marker_at;
        at += framed_bytes(reader, at);
    }
    return has_marker && records == counters->offered_total - counters->delivered_total - counters->dropped_total;
}

int reader_prove(struct reader *reader)
{
    if (reader->policy != PUMP_POLICY_DROP_OLDEST && reader->policy != PUMP_POLICY_DROP_NEWEST)
        return 0;
    if (reader->head > reader->tail || reader->tail > POSITION_MAX ||
        reader->tail - reader->head > reader->ring.capacity - READER_COPY_BYTES ||
        reader->begun_bytes > reader->tail - reader->head)
        return 0;
    reader->has_markers = reader->has_markers != 0;
    reader->is_begun_marker = reader->is_begun_marker != 0;
    reader->is_full = 0; /* what is full tells so again */
    return are_frames(reader);
}

int reader_restore(struct reader *reader, const struct pump_reader_state *state, const uint8_t *waiting)
{
    const uint64_t waiting_bytes = state->counters.waiting_bytes;
    if (waiting_bytes > reader->ring.capacity)
        return 0;
    memcpy(ring_at(&reader->ring, 0), waiting, waiting_bytes);
    reader->head = 0;
    reader->tail = waiting_bytes;
    reader->begun_bytes = state->begun_bytes;
    reader->is_begun_marker = state->is_begun_marker != 0;
    reader->marker_at = state->marker_at;
    reader->marker_records = state->marker_records;
    reader->gap_records = state->gap_records;
    reader->counters = state->counters;
    return reader_prove(reader);
}

/* All that waited was written: no look at any of it, which is out of the cache by then. From the ring's begin on again:
 * so a reader that keeps up has a little memory only, and that in the cache. */
static void settle_all(struct reader *reader)
{
    reader->counters.delivered_total = reader->counters.offered_total - reader->counters.dropped_total;
    reader->head = reader->tail = reader->begun_bytes = 0;
    reader->marker_at = READER_NO_MARKER;
}

/* Books that `bytes` more were written. */
static void settle(struct reader *reader, uint64_t bytes)
{
    reader->counters.delivered_bytes_total += bytes;
    if (bytes == reader->tail - reader->head) {
        settle_all(reader);
        return;
    }
    while (bytes) {
        if (!reader->begun_bytes) {
            reader->begun_bytes = framed_bytes(reader, reader->head);
            reader->is_begun_marker = reader->head == reader->marker_at;
            if (reader->is_begun_marker)
                reader->marker_at = READER_NO_MARKER;
        }
        const uint64_t written = bytes < reader->begun_bytes ? bytes : reader->begun_bytes;
        reader->head += written;
        reader->begun_bytes -= written;
        bytes -= written;
        reader->counters.delivered_total += !reader->begun_bytes && !reader->is_begun_marker;
    }
}

int reader_write(struct reader *reader)
{
    reader->is_full = 0;
    while (reader->head < reader->tail) {
        const ssize_t written = write(reader->fd, ring_at(&reader->ring, reader->head), reader->tail - reader->head);
        if (written >= 0) {
            settle(reader, (uint64_t)written);
        } else if (errno == EAGAIN || errno == ENOMEM || errno == ENOBUFS) {
            reader->is_full = 1;
            return 0;
        } else if (errno != EINTR) {
            return -1;
        }
    }
    return 0;
}

/* The frame of a marker. Returns its length. */
static size_t marker_frame(uint8_t *frame, uint64_t records)
{
    char *text = (char *)frame + READER_LENGTH_BYTES;
    const size_t room = READER_MARKER_MAX_BYTES - READER_LENGTH_BYTES;
    const int length = snprintf(text, room, "{\"ev\":\"lb\",\"dropped\":%llu}", (unsigned long long)records);
    const uint32_t wire_length = htole32((uint32_t)length);
    memcpy(frame, &wire_length, READER_LENGTH_BYTES);
    return READER_LENGTH_BYTES + (size_t)length;
}

/* Puts the marker of the gap before what comes next. There is none that waits. */
static void put_marker(struct reader *reader)
{
    if (reader->has_markers && reader->gap_records) {
        uint8_t frame[READER_MARKER_MAX_BYTES];
        const size_t framed = marker_frame(frame, reader->gap_records);
        memcpy(ring_at(&reader->ring, reader->tail), frame, framed);
        reader->marker_at = reader->tail;
        reader->marker_records = reader->gap_records;
        reader->tail += framed;
    }
    reader->gap_records = 0;
}

/* Puts the marker of the gap that ends at `end`, in the place of what is dropped. Returns where it begins. */
static uint64_t put_marker_before(struct reader *reader, uint64_t end, uint64_t records)
{
    uint8_t frame[READER_MARKER_MAX_BYTES];
    const size_t framed = marker_frame(frame, records);
    memcpy(ring_at(&reader->ring, end - framed), frame, framed);
    reader->marker_at = end - framed;
    reader->marker_records = records;
    return end - framed;
}

/* Drops the oldest frames that were not begun to be written: half of what the ring takes, or as much as `bytes` want. The
 * rest of the frame that was begun is moved up to what stays. */
static void drop_oldest(struct reader *reader, size_t bytes)
{
    const uint64_t begin = reader->head + reader->begun_bytes;
    const uint64_t half = reader->ring.capacity / 2, asked = bytes + READER_SPARE_BYTES;
    const uint64_t wanted = half > asked ? half : asked;
    uint64_t end = begin, records = 0;
    while (end < reader->tail && end - begin < wanted) {
        const int is_marker = end == reader->marker_at;
        records += is_marker ? reader->marker_records : 1;
        reader->counters.dropped_total += !is_marker;
        if (is_marker)
            reader->marker_at = READER_NO_MARKER;
        end += framed_bytes(reader, end);
    }
    uint64_t kept = end;
    if (end == reader->tail)
        reader->gap_records += records; /* its marker comes before what comes next */
    else if (reader->has_markers)
        kept = put_marker_before(reader, end, records);
    uint8_t *rest = ring_at(&reader->ring, reader->head);
    memmove(rest + (kept - begin), rest, reader->begun_bytes);
    reader->head = kept - reader->begun_bytes;
}

int reader_make_room(struct reader *reader, size_t bytes)
{
    if (!reader_has_room(reader, bytes) && !reader->is_full)
        reader_write(reader); /* that nobody reads shows again at the next one */
    if (reader->policy == PUMP_POLICY_DROP_OLDEST && !reader_has_room(reader, bytes) &&
        bytes + READER_SPARE_BYTES <= reader->ring.capacity / 2)
        drop_oldest(reader, bytes);
    if (!reader_has_room(reader, bytes) ||
        (reader->has_markers && reader->gap_records && reader->marker_at != READER_NO_MARKER))
        return 0;
    put_marker(reader);
    return 1;
}
