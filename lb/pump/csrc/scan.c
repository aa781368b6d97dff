#include "scan.h"

static int is_white_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

/* Takes one byte of a record. Returns 1 when it closes the record. */
static int scan_record_byte(struct scan *scan, uint8_t byte)
{
    if (scan->escaped) {
        scan->escaped = 0;
    } else if (scan->in_string) {
        scan->escaped = byte == '\\';
        scan->in_string = byte != '"';
    } else if (byte == '"') {
        scan->in_string = 1;
    } else if (byte == '{') {
        scan->depth++;
    } else if (byte == '}') {
        return --scan->depth == 0;
    }
    return 0;
}

/* Takes one byte between records. Returns 0, or the error of the message. */
static int scan_separator(struct scan *scan, uint8_t byte)
{
    if (is_white_space(byte))
        return 0;
    switch ((enum scan_state)scan->state) {
    case SCAN_START:
        scan->state = SCAN_FIRST;
        return byte == '[' ? 0 : PUMP_ERR_NOT_ARRAY;
    case SCAN_FIRST:
        scan->state = byte == ']' ? SCAN_END : SCAN_RECORD;
        return byte == ']' || byte == '{' ? 0 : PUMP_ERR_NOT_OBJECT;
    case SCAN_NEXT:
        scan->state = SCAN_RECORD;
        return byte == '{' ? 0 : PUMP_ERR_NOT_OBJECT;
    case SCAN_BEHIND:
        scan->state = byte == ',' ? SCAN_NEXT : SCAN_END;
        return byte == ',' || byte == ']' ? 0 : PUMP_ERR_NO_SEPARATOR;
    case SCAN_END:
        return PUMP_ERR_TRAILING;
    case SCAN_RECORD:
    case SCAN_SKIP:
        break;
    }
    return 0;
}

static void begin_record(struct scan *scan)
{
    scan->in_string = 0;
    scan->escaped = 0;
    scan->depth = 1;
}

int scan_next(struct scan *scan, const uint8_t *text, size_t available, struct scan_span *record)
{
    size_t at = scan->scanned;
    record->start = 0;
    scan->scanned = 0;
    for (; at < available; at++) {
        const uint8_t byte = text[at];
        if (scan->checks_utf8 && !utf8_accept(&scan->utf8, byte))
            return PUMP_ERR_UTF8;
        if (scan->state == SCAN_RECORD) {
            if (scan_record_byte(scan, byte)) {
                scan->state = SCAN_BEHIND;
                record->length = at + 1 - record->start;
                return 1;
            }
            continue;
        }
        record->start = at;
        const int rc = scan_separator(scan, byte);
        if (rc < 0) {
            scan_skip(scan);
            return rc;
        }
        if (scan->state == SCAN_RECORD)
            begin_record(scan);
    }
    if (scan->state == SCAN_RECORD)
        scan->scanned = available - record->start;
    else
        record->start = available;
    return 0;
}

int scan_finish(const struct scan *scan)
{
    if (scan->utf8.needed)
        return PUMP_ERR_UTF8;
    if (scan->state == SCAN_START)
        return PUMP_ERR_NOT_ARRAY;
    return scan->state == SCAN_END || scan->state == SCAN_SKIP ? 0 : PUMP_ERR_TRUNCATED;
}
