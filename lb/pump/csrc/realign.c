/* Where the next frame begins in a pipe whose reader died in the middle of one.
 *
 * tee() shows the pipe's bytes without taking them. A frame begins where four bytes name a length and that many
 * bytes begin with '{' and end with '}', and so on up to the last frame. Bytes of a record's text can't pass for a
 * length: as a little-endian number, four of them are over 2^27, the upper bound of max_frame_bytes, since the least
 * byte that JSON knows, a tab, is 9. The end of a record together with the begin of the next frame's length can,
 * where the frame so named reaches out of sight. */
#include "realign.h"
#include "outbox.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* At the end of a peek: there is more to see before a place in them is sure. */
enum { UNSURE_BYTES = 2 * PUMP_LENGTH_BYTES };

static uint32_t length_at(const uint8_t *bytes, size_t at)
{
    uint32_t wire_length;
    memcpy(&wire_length, bytes + at, PUMP_LENGTH_BYTES);
    return le32toh(wire_length);
}

/* Whether frames stand one behind the other from `at` on: up to exactly `last`, or, where that is not in sight, up
 * to the end. */
static int frames_begin_at(const uint8_t *bytes, size_t available, size_t at, size_t last, uint64_t max_frame_bytes)
{
    while (at < last) {
        if (available - at <= PUMP_LENGTH_BYTES)
            return last == SIZE_MAX;
        const uint32_t length = length_at(bytes, at);
        at += PUMP_LENGTH_BYTES;
        if (length < 2 || length > max_frame_bytes || bytes[at] != '{')
            return 0;
        if (length > available - at)
            return last == SIZE_MAX;
        at += length;
        if (bytes[at - 1] != '}')
            return 0;
    }
    return at == last;
}

size_t realign_begun_bytes(const uint8_t *bytes, size_t length, uint64_t max_frame_bytes)
{
    size_t at = 0;
    while (at < length && !frames_begin_at(bytes, length, at, SIZE_MAX, max_frame_bytes))
        at++;
    while (length - at > PUMP_LENGTH_BYTES && length_at(bytes, at) <= length - at - PUMP_LENGTH_BYTES)
        at += PUMP_LENGTH_BYTES + length_at(bytes, at);
    return length - at;
}

static int take_away(struct peek *peek, int read_fd, size_t length)
{
    while (length) {
        const ssize_t got = read(read_fd, peek->bytes, length);
        if (got > 0)
            length -= (size_t)got;
        else if (got == 0 || errno != EINTR)
            return -1;
    }
    return 0;
}

/* Returns how many bytes stand before the next frame; all but UNSURE_BYTES where none is in sight yet.
 * `begun` bytes of the last frame, whose rest waits in the outbox, are the pipe's last. */
static size_t bytes_before_frame(const struct peek *peek, int is_whole_pipe, size_t begun, uint64_t max_frame_bytes)
{
    if (is_whole_pipe ? begun > peek->length : peek->length <= UNSURE_BYTES)
        return peek->length; /* in the second case too little to tell: a frame may be lost so, the alignment never */
    const size_t last = is_whole_pipe ? peek->length - begun : SIZE_MAX;
    const size_t limit = is_whole_pipe ? last : peek->length - UNSURE_BYTES;
    size_t at = 0;
    while (at < limit && !frames_begin_at(peek->bytes, peek->length, at, last, max_frame_bytes))
        at++;
    if (at == limit || length_at(peek->bytes, at) <= peek->length - at - PUMP_LENGTH_BYTES)
        return at;
    /* out of sight: should the length's first bytes be a record's last, the true length follows before those four
     * end */
    for (size_t ahead = PUMP_LENGTH_BYTES - 1; ahead; ahead--)
        if (frames_begin_at(peek->bytes, peek->length, at + ahead, last, max_frame_bytes))
            return at + ahead;
    return at;
}

int64_t realign(struct pump *pump, uint32_t number, struct peek *peek, int read_fd, int *is_sent_again)
{
    const uint64_t begun_bytes = outbox_begun_bytes(pump, number);
    *is_sent_again = 0;
    int64_t dropped_bytes = 0;
    for (;;) {
        int queued_bytes;
        const int seen = peek_look(peek, read_fd);
        if (seen < 0 || ioctl(read_fd, FIONREAD, &queued_bytes) < 0)
            return PUMP_ERR_PIPE;
        if (seen == 0) {
            *is_sent_again = begun_bytes > 0;
            outbox_rewind(pump, number);
            return dropped_bytes;
        }
        const int is_whole_pipe = (size_t)queued_bytes == peek->length;
        const size_t before =
            bytes_before_frame(peek, is_whole_pipe, begun_bytes, pump->config.max_frame_bytes);
        const int found = before < peek->length && (is_whole_pipe || before < peek->length - UNSURE_BYTES);
        if (take_away(peek, read_fd, before) < 0)
            return PUMP_ERR_PIPE;
        dropped_bytes += (int64_t)before;
        if (found || (is_whole_pipe && begun_bytes == 0))
            return dropped_bytes;
    }
}

int64_t pump_realign(struct pump *pump, uint32_t number, int read_fd)
{
    int is_sent_again;
    struct peek *peek = peek_open();
    if (!peek)
        return PUMP_ERR_PIPE;
    const int64_t dropped_bytes = realign(pump, number, peek, read_fd, &is_sent_again);
    peek_close(peek);
    return dropped_bytes;
}
