#include "input.h"
#include "checkpoint.h"
#include "move.h"
#include "ws_frame.h"

#include <string.h>

enum { NEEDS_MORE = 1001 }; /* beside enum pump_event and DEAL_FULL */

static size_t least(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

static void book_payload(struct pump *pump, size_t take)
{
    pump->text_end += take;
    pump->raw_begin += take;
    pump->frame_left_bytes -= take;
    pump->message_bytes += take;
}

/* Joins the text in hand and `take` payload bytes at raw_begin by moving the shorter of the two, so that no byte of
 * a message in however small fragments is moved more often than it was received. */
static void close_gap(struct pump *pump, size_t take)
{
    const size_t kept = pump->text_end - pump->text_begin;
    const uint64_t input = pump->input_offset;
    if (kept <= take) {
        move_plan(pump, input + pump->raw_begin - kept, input + pump->text_begin, kept);
        pump->text_begin = pump->raw_begin - kept;
        pump->text_end = pump->raw_begin;
    } else {
        move_plan(pump, input + pump->text_end, input + pump->raw_begin, take);
    }
    book_payload(pump, take);
    checkpoint(pump);
    move_go(pump);
    pump->is_saved = 0; /* dealing goes on */
}

static void take_payload(struct pump *pump)
{
    const size_t take = least(pump->frame_left_bytes, pump->raw_end - pump->raw_begin);
    if (pump->text_begin != pump->text_end && pump->text_end != pump->raw_begin) {
        close_gap(pump, take);
        return;
    }
    if (pump->text_begin == pump->text_end)
        pump->text_begin = pump->text_end = pump->raw_begin;
    book_payload(pump, take);
}

/* The message in hand has a fault: its first is told. Returns PUMP_MALFORMED, or 0. */
static int malformed_event(struct pump *pump, int error)
{
    pump->counters.skipped_elements_total += error == PUMP_ERR_NOT_OBJECT;
    if (pump->is_message_malformed)
        return 0;
    pump->is_message_malformed = 1;
    pump->detail_offset = pump->input_offset + pump->text_begin;
    pump->detail.length = pump->text_end - pump->text_begin;
    pump->detail.error = error;
    pump->detail.message_offset_bytes = pump->message_bytes - pump->detail.length;
    pump->counters.malformed_total++;
    return PUMP_MALFORMED;
}

/* Every record of the message was dealt. Returns 0, PUMP_MALFORMED or an error. */
static int end_message(struct pump *pump)
{
    const int rc = scan_finish(&pump->scan);
    pump->in_message = 0;
    if (rc == 0 || rc == PUMP_ERR_UTF8)
        return rc;
    const int event = malformed_event(pump, rc);
    pump->counters.skipped_bytes_total += pump->text_end - pump->text_begin;
    pump->text_begin = pump->text_end;
    return event;
}

static int control_event(struct pump *pump, const struct ws_frame *frame)
{
    pump->detail_offset = pump->input_offset + pump->raw_begin;
    pump->detail.length = (size_t)frame->payload_bytes;
    pump->detail.opcode = frame->opcode;
    pump->raw_begin += (size_t)frame->payload_bytes;
    return PUMP_CONTROL;
}

static void begin_message(struct pump *pump, const struct ws_frame *frame)
{
    pump->in_message = 1;
    pump->is_message_malformed = 0;
    pump->scan = (struct scan){.checks_utf8 = frame->opcode == WS_TEXT};
    pump->message_bytes = 0;
    pump->counters.messages_total++;
}

/* Returns 0 when a data frame has begun, NEEDS_MORE, PUMP_CONTROL, or an error. */
static int begin_frame(struct pump *pump)
{
    struct ws_frame frame;
    const size_t available = pump->raw_end - pump->raw_begin;
    const int header = ws_frame_parse(pump_at(pump, pump->input_offset + pump->raw_begin), available, &frame);
    if (header <= 0)
        return header ? header : NEEDS_MORE;
    const int is_control = ws_opcode_is_control(frame.opcode);
    if (is_control && available - (size_t)header < frame.payload_bytes)
        return NEEDS_MORE;
    if (frame.payload_bytes > pump->config.max_frame_bytes && !is_control)
        return PUMP_ERR_FRAME_TOO_BIG;
    if (!is_control && (frame.opcode == WS_CONTINUATION) != pump->in_message)
        return PUMP_ERR_FRAME_SEQUENCE;
    pump->raw_begin += (size_t)header;
    pump->counters.frames_total++;
    if (is_control)
        return control_event(pump, &frame);
    if (!pump->in_message)
        begin_message(pump, &frame);
    pump->frame_left_bytes = frame.payload_bytes;
    pump->frame_fin = frame.fin;
    return 0;
}

static int is_fault_of_message(int rc)
{
    return rc <= PUMP_ERR_NOT_ARRAY && rc >= PUMP_ERR_RECORD_TOO_BIG;
}

/* Deals the text in hand. Returns 0, DEAL_FULL, PUMP_NOTICE, PUMP_MALFORMED, or an error of the session. */
static int deal(struct pump *pump)
{
    int rc;
    do
        rc = layout_of(pump)->deal_text(pump);
    while (is_fault_of_message(rc) && (rc = malformed_event(pump, rc)) == 0);
    return rc;
}

/* Takes up a message received whole, of which the first bytes were dealt already. */
static void take_up(struct pump *pump, size_t payload_bytes, size_t dealt_bytes)
{
    pump->in_message = 1;
    pump->is_message_malformed = 0;
    pump->scan = (struct scan){.state = SCAN_BEHIND, .checks_utf8 = 1};
    pump->frame_fin = 1;
    pump->message_bytes = payload_bytes;
    pump->text_begin = pump->raw_begin + dealt_bytes;
    pump->text_end = pump->raw_begin += payload_bytes;
}

/* The short way for messages of one frame that were received whole and hold flat records only. Stops at any other;
 * returns 1 where part of that was dealt and it is in hand now. */
static int deal_whole_messages(struct pump *pump)
{
    const uint8_t *input = pump_at(pump, pump->input_offset);
    layout_deal_run *const deal_run = layout_run(pump);
    size_t header_bytes, payload_bytes;
    uint64_t messages = 0;
    int is_part = 0;
    while (!is_part &&
           (header_bytes = ws_whole_text(input + pump->raw_begin, pump->raw_end - pump->raw_begin, &payload_bytes)) &&
           payload_bytes <= pump->config.max_frame_bytes) {
        const uint8_t *text = input + pump->raw_begin + header_bytes;
        const size_t dealt_bytes = deal_run(pump, text, text + payload_bytes, SCAN_START);
        if (dealt_bytes == 0)
            break;
        messages++;
        pump->raw_begin += header_bytes;
        is_part = dealt_bytes + 1 != payload_bytes || text[dealt_bytes] != ']';
        if (is_part)
            take_up(pump, payload_bytes, dealt_bytes);
        else
            pump->raw_begin += payload_bytes;
    }
    pump->counters.frames_total += messages;
    pump->counters.messages_total += messages;
    return is_part;
}

/* The frame in hand is done. Returns 0 when the next is in hand, NEEDS_MORE, an event, or an error. */
static int next_frame(struct pump *pump)
{
    const int rc = pump->in_message && pump->frame_fin ? end_message(pump) : 0;
    if (rc)
        return rc;
    return pump->vectors && !pump->in_message && deal_whole_messages(pump) ? 0 : begin_frame(pump);
}

/* Puts the next bytes of the message in hand, or of the next, behind the text. Returns as next_frame(). */
static int take_more(struct pump *pump)
{
    const int rc = pump->frame_left_bytes == 0 ? next_frame(pump) : 0;
    if (rc || pump->frame_left_bytes == 0)
        return rc;
    if (pump->raw_begin == pump->raw_end)
        return NEEDS_MORE;
    take_payload(pump);
    return 0;
}

int input_parse(struct pump *pump)
{
    int rc;
    do
        rc = deal(pump);
    while (rc == 0 && (rc = take_more(pump)) == 0);
    return rc == NEEDS_MORE ? 0 : rc;
}

void input_reset(struct pump *pump)
{
    if (pump->in_message && pump->scan.state == SCAN_RECORD)
        pump->counters.cut_off_bytes_total += pump->text_end - pump->text_begin;
    pump->text_begin = pump->text_end = pump->raw_begin = pump->raw_end = 0;
    pump->frame_left_bytes = 0;
    pump->held_bytes = 0;
    pump->reset_errno = 0;
    pump->has_work = 0;
    pump->in_message = 0;
    pump->scan = (struct scan){0};
}
