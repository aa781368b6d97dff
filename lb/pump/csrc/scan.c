#include "scan.h"

static int is_white_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static int is_in_mark(const struct scan *scan)
{
    return scan->state == SCAN_MARK_1 || scan->state == SCAN_MARK_2;
}

/* Takes one byte, of a string or not. Returns 1 where it is of a string, quotes included. */
static int scan_string_byte(struct scan *scan, uint8_t byte)
{
    if (scan->escaped) {
        scan->escaped = 0;
    } else if (scan->in_string) {
        scan->escaped = byte == '\\';
        scan->in_string = byte != '"';
    } else {
        scan->in_string = byte == '"';
        return scan->in_string;
    }
    return 1;
}

/* Takes one byte of a record. Returns 1 when it closes the record. */
static int scan_record_byte(struct scan *scan, uint8_t byte)
{
    if (scan_string_byte(scan, byte))
        return 0;
    scan->depth += byte == '{';
    return byte == '}' && --scan->depth == 0;
}

/* Takes one byte of an element that is no object. Returns 1 where it stands behind that: a separator. */
static int scan_element_byte(struct scan *scan, uint8_t byte)
{
    if (scan_string_byte(scan, byte))
        return 0;
    if (scan->depth == 0 && (byte == ',' || byte == ']'))
        return 1;
    scan->depth += byte == '{' || byte == '[';
    scan->depth -= scan->depth && (byte == '}' || byte == ']');
    return 0;
}

/* Whether the byte is of what is passed over. */
static int scan_passes_over(struct scan *scan, uint8_t byte)
{
    if (scan->state == SCAN_ELEMENT && scan_element_byte(scan, byte))
        scan->state = SCAN_BEHIND;
    return scan->state == SCAN_ELEMENT || scan->state == SCAN_SKIP;
}

/* Takes one byte between records. Returns 0, or the error of the message. */
static int scan_separator(struct scan *scan, uint8_t byte)
{
    if (is_white_space(byte) && !is_in_mark(scan))
        return 0;
    switch ((enum scan_state)scan->state) {
    case SCAN_START: /* U+FEFF is EF BB BF (RFC 3629 section 6) */
        scan->is_single = byte == '{';
        scan->state = byte == 0xEF ? SCAN_MARK_1 : scan->is_single ? SCAN_RECORD : SCAN_FIRST;
        return byte == '[' || byte == '{' || byte == 0xEF ? 0 : PUMP_ERR_NOT_ARRAY;
    case SCAN_MARK_1:
        scan->state = SCAN_MARK_2;
        return byte == 0xBB ? 0 : PUMP_ERR_NOT_ARRAY;
    case SCAN_MARK_2:
        scan->state = SCAN_START;
        return byte == 0xBF ? 0 : PUMP_ERR_NOT_ARRAY;
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
    case SCAN_ELEMENT:
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

/* Whether the bytes from record->start on are wanted again. */
static int is_in_hand(const struct scan *scan)
{
    return scan->state == SCAN_RECORD || is_in_mark(scan);
}

int scan_next(struct scan *scan, const uint8_t *text, size_t available, struct scan_span *record)
{
    size_t at = scan->scanned;
    record->start = 0;
    scan->scanned = 0;
    scan->skipped_bytes = 0;
    for (; at < available; at++) {
        const uint8_t byte = text[at];
        if (scan->checks_utf8 && !utf8_accept(&scan->utf8, byte))
            return PUMP_ERR_UTF8;
        if (scan->state == SCAN_RECORD) {
            if (scan_record_byte(scan, byte)) {
                scan->state = scan->is_single ? SCAN_END : SCAN_BEHIND;
                record->length = at + 1 - record->start;
                return 1;
            }
            continue;
        }
        if (scan_passes_over(scan, byte)) {
            scan->skipped_bytes++;
            continue;
        }
        if (!is_in_hand(scan))
            record->start = at;
        const int rc = scan_separator(scan, byte);
        if (rc < 0) {
            scan_skip(scan);
            if (rc == PUMP_ERR_NOT_OBJECT)
                scan->state = SCAN_ELEMENT;
            return rc;
        }
        if (scan->state == SCAN_RECORD)
            begin_record(scan);
    }
    if (is_in_hand(scan))
        scan->scanned = available - record->start;
    else
        record->start = available;
    return 0;
}

int scan_finish(const struct scan *scan)
{
    if (scan->utf8.needed)
        return PUMP_ERR_UTF8;
    if (scan->state == SCAN_START || is_in_mark(scan))
        return PUMP_ERR_NOT_ARRAY;
    return scan->state == SCAN_END || scan->state == SCAN_SKIP ? 0 : PUMP_ERR_TRUNCATED;
}
