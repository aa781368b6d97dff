#include "receive.h"
#include "checkpoint.h"
#include "mapping.h"
#include "move.h"

#include <errno.h>
#include <linux/tls.h>
#include <string.h>
#include <sys/socket.h>

enum {
    TLS_APPLICATION_DATA = 23, /* RFC 8446 B.1 */
    SMALL_REST_BYTES = 4096    /* a rest up to this size is moved to the front at once: the input stays in the cache */
};

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

static void note_touched(struct pump *pump)
{
    if (pump->raw_end > pump->input_touched_bytes)
        pump->input_touched_bytes = pump->raw_end;
}

/* Once what is kept of the input is short, gives back what a long record has touched. */
static void give_back(struct pump *pump, size_t rest_bytes)
{
    if (pump->input_touched_bytes <= INPUT_KEPT_BYTES || rest_bytes > SMALL_REST_BYTES)
        return;
    mapping_give_back(pump, pump->input_offset + INPUT_KEPT_BYTES, pump->input_offset + pump->input_touched_bytes);
    pump->input_touched_bytes = 0;
}

/* Moves text and raw bytes to the front, without the gap: a flood of pings inside a fragmented message would make it outgrow the
 * input. */
static void move_to_front(struct pump *pump)
{
    const size_t text_bytes = pump->text_end - pump->text_begin;
    const size_t raw_bytes = pump->raw_end - pump->raw_begin;
    const uint64_t input = pump->input_offset;
    if (pump->text_begin > 0) {
        move_plan(pump, input, input + pump->text_begin, text_bytes);
        pump->text_begin = 0;
        pump->text_end = text_bytes;
        checkpoint(pump);
        move_go(pump);
    }
    if (pump->raw_begin > text_bytes) {
        move_plan(pump, input + text_bytes, input + pump->raw_begin, raw_bytes);
        pump->raw_begin = text_bytes;
        pump->raw_end = text_bytes + raw_bytes;
        checkpoint(pump);
        move_go(pump);
    }
}

uint8_t *pump_room(struct pump *pump, size_t *room_bytes)
{
    const size_t rest_bytes = pump->text_end - pump->text_begin + pump->raw_end - pump->raw_begin;
    if (rest_bytes <= SMALL_REST_BYTES || pump->input_capacity_bytes - pump->raw_end < PUMP_ROOM_BYTES) {
        note_touched(pump);
        move_to_front(pump);
        give_back(pump, rest_bytes);
    }
    *room_bytes = pump->input_capacity_bytes - pump->raw_end;
    return pump_at(pump, pump->input_offset + pump->raw_end);
}

void pump_fed(struct pump *pump, size_t bytes)
{
    pump->is_saved = 0;
    pump->raw_end += bytes;
    pump->has_work = 1;
    pump->counters.reads_total++;
    pump->counters.received_bytes_total += bytes;
    pump->counters.last_input_ns = now_ns();
}

/* A record that is no application data. */
static int tls_record_event(struct pump *pump, size_t bytes, uint8_t type, int is_end)
{
    pump->is_saved = 0;
    pump->detail_offset = pump->input_offset + pump->raw_end;
    pump->detail.length = bytes;
    pump->detail.opcode = type;
    pump->detail.end = is_end;
    pump->counters.last_input_ns = now_ns();
    return PUMP_TLS_RECORD;
}

/* Reads at most so many bytes. Returns how many, or -1 with errno. recvmmsg(), for the kernel writes their number into the mapping: a
 * process that is killed here has not taken bytes of which nobody knows. */
static ssize_t read_some(struct pump *pump, uint8_t *room)
{
    struct pump_read *read = &pump->read;
    read->generation = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    read->room = (struct iovec){.iov_base = room, .iov_len = PUMP_READ_BYTES};
    read->message = (struct mmsghdr){.msg_hdr = {.msg_iov = &read->room, .msg_iovlen = 1}};
    if (pump->source == PUMP_SOURCE_KTLS) {
        read->message.msg_hdr.msg_control = read->control;
        read->message.msg_hdr.msg_controllen = sizeof read->control;
    }
    checkpoint_before_call(pump);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    read->generation = pump->generation;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return recvmmsg(pump->feed_fd, &read->message, 1, MSG_DONTWAIT, NULL) == 1 ? (ssize_t)read->message.msg_len : -1;
}

/* Of a session whose TLS the kernel holds. Returns the type of what was read, 0 where it has none, or -1 with errno. */
static int type_of(struct pump_read *read)
{
    struct msghdr *message = &read->message.msg_hdr;
    message->msg_control = read->control;
    if (message->msg_flags & MSG_CTRUNC) { /* nobody knows whether it is data */
        errno = EPROTO;
        return -1;
    }
    const struct cmsghdr *header = CMSG_FIRSTHDR(message);
    return header && header->cmsg_level == SOL_TLS && header->cmsg_type == TLS_GET_RECORD_TYPE ? *CMSG_DATA(header) : 0;
}

/* Books what was read. Returns 0, PUMP_EOF, PUMP_TLS_RECORD, or PUMP_ERR_RECV with errno. */
static int take(struct pump *pump, size_t bytes)
{
    const int type = pump->source == PUMP_SOURCE_KTLS ? type_of(&pump->read) : 0;
    if (type < 0)
        return PUMP_ERR_RECV;
    if (type && type != TLS_APPLICATION_DATA)
        return tls_record_event(pump, bytes, (uint8_t)type, (pump->read.message.msg_hdr.msg_flags & MSG_EOR) != 0);
    if (bytes)
        pump_fed(pump, bytes);
    return bytes || type ? 0 : PUMP_EOF; /* an empty record has a type, and the stream's end none */
}

/* A connection that was reset may still have bytes to read; the error comes first, and once. */
static ssize_t read_behind_error(struct pump *pump, uint8_t *room)
{
    const int error = errno;
    const ssize_t got = read_some(pump, room);
    if (got > 0)
        pump->reset_errno = error;
    else
        errno = error;
    return got > 0 ? got : -1;
}

static enum last_read told_by(const struct pump *pump, ssize_t got, int error)
{
    if (got == PUMP_READ_BYTES)
        return READ_FULL;
    if (got >= 0 || error == EINTR)
        return READ_SHORT;
    return pump->is_readable ? READ_PART : READ_NOTHING;
}

static int is_nothing_yet(int error)
{
    return error == EAGAIN || error == EINTR;
}

int receive(struct pump *pump)
{
    size_t room_bytes;
    uint8_t *room = pump_room(pump, &room_bytes);
    ssize_t got = read_some(pump, room);
    if (got < 0 && !is_nothing_yet(errno))
        got = read_behind_error(pump, room);
    pump->last_read = (uint8_t)told_by(pump, got, errno);
    pump->is_readable = 0;
    pump->has_polled = 0;
    if (got < 0)
        return is_nothing_yet(errno) ? 0 : (int)PUMP_ERR_RECV;
    const int rc = take(pump, (size_t)got);
    if (rc == PUMP_EOF && pump->reset_errno) {
        errno = pump->reset_errno;
        return PUMP_ERR_RECV;
    }
    return rc;
}

int receive_left(struct pump *pump)
{
    const struct pump_read *read = &pump->read;
    const int reads_itself = pump->source == PUMP_SOURCE_SOCKET || pump->source == PUMP_SOURCE_KTLS;
    if (!reads_itself || read->generation == 0 || read->generation != pump->generation)
        return 0;
    if (read->message.msg_len > PUMP_READ_BYTES || read->message.msg_len > pump->input_capacity_bytes - pump->raw_end)
        return -1;
    return read->message.msg_len ? take(pump, read->message.msg_len) : 0;
}
