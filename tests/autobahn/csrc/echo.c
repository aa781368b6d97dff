/* In place of the pump's layouts.c: one layout, whose messages go whole into pipe 0, whatever they are, behind a byte that is 1 for
 * text and 2 for binary. Frames, fragments, control frames and UTF-8 stay the pump's own: input.c, ws_frame.c, scan.c, utf8.h. */
#include "deal.h"
#include "ws_frame.h"

static int put_message(struct pump *pump, const uint8_t *text, size_t length)
{
    struct pump_pipe *pipe = &pump->pipe[0];
    const uint32_t wire_length = htole32((uint32_t)length + 1);
    const size_t framed = PUMP_LENGTH_BYTES + 1 + length;
    if (outbox_make_room(pump, 0, framed) <= 0)
        return PUMP_ERR_PIPE;
    uint8_t *frame = pump_at(pump, pipe->tail);
    memcpy(frame, &wire_length, PUMP_LENGTH_BYTES);
    frame[PUMP_LENGTH_BYTES] = pump->scan.checks_utf8 ? WS_TEXT : WS_BINARY;
    memcpy(frame + PUMP_LENGTH_BYTES + 1, text, length);
    pipe->tail += framed;
    deal_count(pump, pipe);
    pump->counters.records_total++;
    pump->counters.record_bytes_total += length + 1;
    return 0;
}

static int deal_text(struct pump *pump)
{
    const size_t available = pump->text_end - pump->text_begin;
    struct scan_span unused;
    if (!pump->in_message)
        return 0;
    /* As the scanner passes over a malformed message: it looks at UTF-8 alone, at each byte once, as soon as it has come. */
    pump->scan.state = SCAN_SKIP;
    const int rc = scan_next(&pump->scan, pump_text(pump), available, &unused);
    pump->scan.scanned = available;
    if (rc < 0 || pump->frame_left_bytes || !pump->frame_fin || pump->scan.utf8.needed)
        return rc;
    const int failed = put_message(pump, pump_text(pump), available);
    pump->text_begin = pump->text_end;
    return failed;
}

static size_t deal_no_run(struct pump *pump, const uint8_t *text, const uint8_t *end, uint8_t state)
{
    (void)pump, (void)text, (void)end, (void)state;
    return 0;
}

static const struct layout echo_layout = {
    .deal_run = {deal_no_run, deal_no_run, deal_no_run},
    .deal_selected = {deal_no_run, deal_no_run, deal_no_run},
    .deal_text = deal_text,
};

const struct layout *const layouts[] = {&echo_layout};
