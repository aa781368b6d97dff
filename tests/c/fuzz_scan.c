/* However a message is cut into reads, and whether the fast path is taken or not: the same records, the same fault, the same end.
 *
 * Input: a byte of flags, a byte that decides the cuts, the message. */
#include "input.h"
#include "scan.h"

enum { MESSAGE_MAX_BYTES = 2048, FLAG_UTF8 = 1 };

/* What came of a message: any number of elements that are no objects, one other fault at most, and one of UTF-8. */
struct outcome {
    size_t records;
    struct scan_span record[MESSAGE_MAX_BYTES];
    size_t faults;
    struct {
        int rc;
        size_t at;
    } fault[MESSAGE_MAX_BYTES];
    size_t skipped_bytes;
    int is_no_utf8;
    int finish;
};

enum way { EXACT_IN_ONE_GO, EXACT_BYTE_BY_BYTE, FAST_IN_ONE_GO, FAST_CUT };

static size_t next_cut(enum way way, size_t left, uint32_t *numbers)
{
    if (way == EXACT_IN_ONE_GO || way == FAST_IN_ONE_GO)
        return left;
    const size_t cut = way == EXACT_BYTE_BY_BYTE ? 1 : 1 + next_number(numbers) % (next_number(numbers) % 4 ? 40 : 400);
    return cut < left ? cut : left;
}

/* One step as deal_text.h takes it. Returns what scan_next() does. */
static int step(struct scan *scan, enum way way, const uint8_t *text, size_t available, struct scan_span *record)
{
    const int is_fast = way == FAST_IN_ONE_GO || way == FAST_CUT;
    scan->skipped_bytes = 0;
    text = guarded(text, available, is_fast ? SCAN_PAD_BYTES : 0);
    const size_t open_at = is_fast ? scan_open_at(scan, text, available) : available;
    if (open_at < available) {
        record->start = open_at;
        record->length = scan_flat(text + open_at, available - open_at);
        REQUIRE(record->length <= available - open_at);
        if (record->length) {
            scan_pass(scan, open_at);
            return 1;
        }
    }
    const int rc = scan_next(scan, text, available, record);
    REQUIRE(record->start <= available);
    return rc;
}

static void cut(const uint8_t *message, size_t size, enum way way, int checks_utf8, uint32_t numbers, struct outcome *outcome)
{
    struct scan scan = {.checks_utf8 = (uint8_t)checks_utf8};
    struct scan_span record;
    memset(outcome, 0, sizeof *outcome);
    for (size_t begin = 0, end = 0; end < size;) {
        end += next_cut(way, size - end, &numbers);
        while (begin < end) {
            const int rc = step(&scan, way, message + begin, end - begin, &record);
            outcome->skipped_bytes += scan.skipped_bytes;
            if (rc == PUMP_ERR_UTF8) {
                outcome->is_no_utf8 = 1;
                return;
            }
            begin += record.start;
            if (rc < 0) {
                REQUIRE(scan.state == (rc == PUMP_ERR_NOT_OBJECT ? SCAN_ELEMENT : SCAN_SKIP));
                outcome->fault[outcome->faults].rc = rc;
                outcome->fault[outcome->faults++].at = begin;
            } else if (rc == 1) {
                REQUIRE(record.length >= 2 && begin + record.length <= end);
                outcome->record[outcome->records++] = (struct scan_span){begin, record.length};
                begin += record.length;
            } else {
                REQUIRE(scan.scanned == end - begin);
                break;
            }
        }
    }
    outcome->finish = scan_finish(&scan);
}

static void require_same(const struct outcome *one, const struct outcome *other)
{
    REQUIRE(one->records == other->records);
    REQUIRE(!memcmp(one->record, other->record, one->records * sizeof *one->record));
    REQUIRE(one->is_no_utf8 == other->is_no_utf8);
    REQUIRE(one->faults == other->faults && one->skipped_bytes == other->skipped_bytes);
    REQUIRE(!memcmp(one->fault, other->fault, one->faults * sizeof *one->fault));
    REQUIRE(one->finish == other->finish);
}

/* What can be said of any record without a scanner. */
static void require_sense(const uint8_t *message, size_t size, const struct outcome *outcome)
{
    size_t behind = 0, record_bytes = 0;
    for (size_t i = 0; i + 1 < outcome->faults; i++)
        REQUIRE(outcome->fault[i].rc == PUMP_ERR_NOT_OBJECT && outcome->fault[i].at < outcome->fault[i + 1].at);
    for (size_t i = 0; i < outcome->records; i++) {
        const struct scan_span *record = &outcome->record[i];
        REQUIRE(record->start > behind || i == 0);
        REQUIRE(message[record->start] == '{' && message[record->start + record->length - 1] == '}');
        behind = record->start + record->length;
        record_bytes += record->length;
    }
    REQUIRE(record_bytes + outcome->skipped_bytes <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct outcome expected, other;
    if (size < 2 || size - 2 > MESSAGE_MAX_BYTES)
        return 0;
    const int checks_utf8 = data[0] & FLAG_UTF8;
    const uint8_t *message = data + 2;
    cut(message, size - 2, EXACT_IN_ONE_GO, checks_utf8, 0, &expected);
    require_sense(message, size - 2, &expected);
    cut(message, size - 2, EXACT_BYTE_BY_BYTE, checks_utf8, 0, &other);
    require_same(&expected, &other);
    cut(message, size - 2, FAST_IN_ONE_GO, checks_utf8, 0, &other);
    require_same(&expected, &other);
    cut(message, size - 2, FAST_CUT, checks_utf8, data[1] + 1U, &other);
    require_same(&expected, &other);
    return 0;
}
