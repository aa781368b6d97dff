#include "receive.h"
#include "mapping.h"

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

/* Books how far the input is touched; once what is kept of it is short, gives back what a long record has touched. */
static void give_back(struct pump *pump, size_t rest_bytes)
{
    if (pump->raw_end > pump->input_touched_bytes)
        pump->input_touched_bytes = pump->raw_end;
    if (pump->input_touched_bytes <= INPUT_KEPT_BYTES || rest_bytes > SMALL_REST_BYTES)
        return;
    mapping_give_back(pump, pump->input_offset + INPUT_KEPT_BYTES, pump->input_offset + pump->input_touched_bytes);
    pump->input_touched_bytes = 0;
}

uint8_t *pump_room(struct pump *pump, size_t *room_bytes)
{
    const size_t text_bytes = pump->text_end - pump->text_begin;
    const size_t raw_bytes = pump->raw_end - pump->raw_begin;
    const size_t rest_bytes = text_bytes + raw_bytes;
    if (rest_bytes <= SMALL_REST_BYTES || pump->input_capacity_bytes - pump->raw_end < PUMP_ROOM_BYTES) {
        /* without the gap: a flood of pings inside a fragmented message would make it outgrow the input */
        uint8_t *input = pump_at(pump, pump->input_offset);
        memmove(input, input + pump->text_begin, text_bytes);
        memmove(input + text_bytes, input + pump->raw_begin, raw_bytes);
        give_back(pump, rest_bytes);
        pump->text_begin = 0;
        pump->text_end = pump->raw_begin = text_bytes;
        pump->raw_end = rest_bytes;
    }
    *room_bytes = pump->input_capacity_bytes - pump->raw_end;
    return pump_at(pump, pump->input_offset + pump->raw_end);
}

void pump_fed(struct pump *pump, size_t bytes)
{
    pump->raw_end += bytes;
    pump->has_work = 1;
    pump->counters.reads_total++;
    pump->counters.received_bytes_total += bytes;
    pump->counters.last_input_ns = now_ns();
}

/* A record that is no application data. */
static int tls_record_event(struct pump *pump, const uint8_t *room, size_t bytes, uint8_t type, int is_end)
{
    pump->detail_offset = (uint64_t)(room - pump_at(pump, 0));
    pump->detail.length = bytes;
    pump->detail.opcode = type;
    pump->detail.end = is_end;
    pump->counters.last_input_ns = now_ns();
    return PUMP_TLS_RECORD;
}

/* One recvmsg with room for a record's type. Returns 0 with *got, or PUMP_TLS_RECORD. */
static int receive_ktls(struct pump *pump, uint8_t *room, ssize_t *got)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(uint8_t))];
    } control;
    struct iovec iov = {.iov_base = room, .iov_len = PUMP_READ_BYTES};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    *got = recvmsg(pump->feed_fd, &message, MSG_DONTWAIT);
    if (*got >= 0 && (message.msg_flags & MSG_CTRUNC)) { /* without its type, nobody knows whether it is data */
        *got = -1;
        errno = EPROTO;
    }
    const struct cmsghdr *header = *got >= 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (!header || header->cmsg_level != SOL_TLS || header->cmsg_type != TLS_GET_RECORD_TYPE)
        return 0;
    const uint8_t type = *CMSG_DATA(header);
    if (type != TLS_APPLICATION_DATA)
        return tls_record_event(pump, room, (size_t)*got, type, (message.msg_flags & MSG_EOR) != 0);
    if (*got == 0) { /* an empty record: the stream's end would have no type */
        *got = -1;
        errno = EINTR;
    }
    return 0;
}

static enum last_read told_by(const struct pump *pump, ssize_t got)
{
    if (got == PUMP_READ_BYTES)
        return READ_FULL;
    if (got >= 0 || errno == EINTR)
        return READ_SHORT;
    return pump->is_readable ? READ_PART : READ_NOTHING;
}

int receive(struct pump *pump)
{
    size_t room_bytes;
    ssize_t got;
    int rc = 0;
    uint8_t *room = pump_room(pump, &room_bytes);
    if (pump->source == PUMP_SOURCE_KTLS)
        rc = receive_ktls(pump, room, &got);
    else
        got = recv(pump->feed_fd, room, PUMP_READ_BYTES, MSG_DONTWAIT);
    if (rc == 0 && got == 0)
        rc = PUMP_EOF;
    else if (got < 0 && errno != EAGAIN && errno != EINTR)
        rc = PUMP_ERR_RECV;
    else if (rc == 0 && got > 0)
        pump_fed(pump, (size_t)got);
    pump->last_read = (uint8_t)told_by(pump, got);
    pump->is_readable = 0;
    pump->has_polled = 0;
    return rc;
}
