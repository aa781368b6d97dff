#include "realign.h"
#include "outbox.h"

/* A place in a stream of frames. */
struct frame_place {
    size_t left_bytes;   /* of the record in hand */
    size_t length_bytes; /* of the length in hand: 0 to 3 */
    uint32_t length;
};

/* Counts the frames that end within the bytes of the peek. */
static void count_frames(const struct peek *peek, struct frame_place *place, struct pump_unread *unread)
{
    for (size_t at = 0; at < peek->length;) {
        if (place->left_bytes == 0) {
            place->length |= (uint32_t)peek->bytes[at++] << 8 * place->length_bytes;
            if (++place->length_bytes < PUMP_LENGTH_BYTES)
                continue;
            place->left_bytes = place->length;
        }
        const size_t here_bytes = place->left_bytes < peek->length - at ? place->left_bytes : peek->length - at;
        at += here_bytes;
        place->left_bytes -= here_bytes;
        if (place->left_bytes)
            return;
        unread->records++;
        unread->bytes += PUMP_LENGTH_BYTES + place->length;
        *place = (struct frame_place){0};
    }
}

static int count_all(struct peek *peek, int read_fd, struct pump_unread *unread)
{
    struct frame_place place = {0};
    int taken;
    while ((taken = peek_take(peek, read_fd)) > 0)
        count_frames(peek, &place, unread);
    return taken;
}

int pump_unread(struct pump *pump, uint32_t number, int read_fd, struct pump_unread *unread)
{
    int is_sent_again;
    struct peek *peek = peek_open();
    if (!peek)
        return PUMP_ERR_PIPE;
    *unread = (struct pump_unread){0};
    const int64_t dropped_bytes = realign(pump, number, peek, read_fd, &is_sent_again);
    if (dropped_bytes > 0 && !is_sent_again)
        *unread = (struct pump_unread){1, (uint64_t)dropped_bytes};
    const int is_read = dropped_bytes >= 0 && count_all(peek, read_fd, unread) == 0;
    if (is_read)
        outbox_rewind(pump, number);
    peek_close(peek);
    return is_read ? 0 : PUMP_ERR_PIPE;
}
