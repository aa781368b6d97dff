/* A reader dies anywhere in a stream of frames, whatever the records hold: its successor finds whole records, each of those that were sent,
 * in order; and pump_unread() counts what nobody took, so that written = read whole + unread, to the record.
 *
 * Input: a byte for the high-water mark, two for where the reader dies, one for how often it is done, and records, a line each. */
#include "input.h"
#include "pump_state.h"

#include <fcntl.h>
#include <unistd.h>

enum { RECORDS_MAX = 200, LINES_MAX_BYTES = 6000, STREAM_MAX_BYTES = LINES_MAX_BYTES + RECORDS_MAX * 8, PIPE_BYTES = 4096 };

struct trial {
    struct pump *pump;
    int ends[2];
    uint32_t records;
    size_t begin[RECORDS_MAX + 1]; /* of each record's frame in the stream */
    uint8_t stream[STREAM_MAX_BYTES];
    uint8_t got[STREAM_MAX_BYTES];
    size_t got_bytes;
};

/* As JSON has them, so that no four bytes of their text pass for a length; see realign.c. */
static void add_record(struct trial *trial, const uint8_t *bytes, size_t length)
{
    size_t at = trial->begin[trial->records];
    const uint32_t wire_length = htole32((uint32_t)length + 2);
    memcpy(trial->stream + at, &wire_length, PUMP_LENGTH_BYTES);
    at += PUMP_LENGTH_BYTES;
    trial->stream[at++] = '{';
    for (size_t i = 0; i < length; i++)
        trial->stream[at++] = bytes[i] == '{' || bytes[i] == '}' || bytes[i] == '"' || bytes[i] == '\\' || bytes[i] < ' ' || bytes[i] > '~'
                                  ? 'a' + bytes[i] % 26
                                  : bytes[i];
    trial->stream[at++] = '}';
    trial->begin[++trial->records] = at;
}

static void add_lines(struct trial *trial, const uint8_t *bytes, size_t size)
{
    const uint8_t *end = bytes + size;
    while (bytes < end && trial->records < RECORDS_MAX) {
        const uint8_t *line_end = memchr(bytes, '\n', (size_t)(end - bytes));
        line_end = line_end ? line_end : end;
        add_record(trial, bytes, (size_t)(line_end - bytes));
        bytes = line_end + 1;
    }
}

static void run(struct trial *trial)
{
    int rc;
    while ((rc = pump_run(trial->pump, 0)) != PUMP_DEADLINE && rc != PUMP_DRAINED)
        REQUIRE(rc == PUMP_BUDGET || rc == PUMP_READABLE || rc == PUMP_PIPE_DRAINED);
}

/* The records as one binary message, for no UTF-8 is looked at there. */
static void deal(struct trial *trial)
{
    size_t room_bytes;
    uint8_t *room = pump_room(trial->pump, &room_bytes), *at = room + 4;
    for (uint32_t i = 0; i < trial->records; i++) {
        const size_t length = trial->begin[i + 1] - trial->begin[i] - PUMP_LENGTH_BYTES;
        *at++ = i ? ',' : '[';
        memcpy(at, trial->stream + trial->begin[i] + PUMP_LENGTH_BYTES, length);
        at += length;
    }
    *at++ = ']';
    const size_t payload_bytes = (size_t)(at - room) - 4;
    if (payload_bytes < 126) {
        memmove(room + 2, room + 4, payload_bytes);
        room[1] = (uint8_t)payload_bytes;
    } else {
        room[1] = 126, room[2] = (uint8_t)(payload_bytes >> 8), room[3] = (uint8_t)payload_bytes;
    }
    room[0] = 0x82;
    pump_fed(trial->pump, payload_bytes + (payload_bytes < 126 ? 2 : 4));
    run(trial);
}

static size_t take(struct trial *trial, size_t most_bytes)
{
    const ssize_t got = read(trial->ends[0], trial->got + trial->got_bytes, most_bytes);
    trial->got_bytes += got > 0 ? (size_t)got : 0;
    return got > 0 ? (size_t)got : 0;
}

/* The reader's records that came whole: each is the next of those sent, or a later one. Returns how many. */
static uint32_t whole_records(const struct trial *trial, uint32_t *next)
{
    uint32_t whole = 0;
    for (size_t at = 0; at + PUMP_LENGTH_BYTES <= trial->got_bytes;) {
        uint32_t wire_length;
        memcpy(&wire_length, trial->got + at, PUMP_LENGTH_BYTES);
        const size_t framed = PUMP_LENGTH_BYTES + le32toh(wire_length);
        if (framed > trial->got_bytes - at)
            break;
        while (*next < trial->records && (trial->begin[*next + 1] - trial->begin[*next] != framed ||
                                          memcmp(trial->stream + trial->begin[*next], trial->got + at, framed)))
            ++*next;
        REQUIRE(*next < trial->records); /* no record is made up, and none comes twice or too late */
        ++*next;
        whole++;
        at += framed;
    }
    return whole;
}

static struct pump_pipe_counters counted(const struct trial *trial)
{
    struct pump_pipe_counters counters;
    pump_pipe_counters(trial->pump, 0, &counters);
    REQUIRE(counters.records_total == counters.written_total + counters.waiting_records);
    REQUIRE(counters.waiting_records == pump_count_waiting(trial->pump, 0));
    return counters;
}

/* One reader: reads so many bytes, and dies. */
static uint32_t read_and_die(struct trial *trial, size_t bytes, uint32_t *next)
{
    trial->got_bytes = 0;
    while (bytes) {
        const size_t got = take(trial, bytes);
        bytes -= got;
        if (!got && pump_has_input(trial->pump) == 0 && counted(trial).waiting_records == 0)
            break;
        run(trial);
    }
    return whole_records(trial, next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct trial trial;
    if (size < 5 || size - 4 > LINES_MAX_BYTES)
        return 0;
    const struct pump_config config = {.pipes = 1, .max_frame_bytes = 8192, .high_water_bytes = 1 + 40U * data[0], .wake_fd = -1,
                                       .stall_ns = INT64_MAX / 2};
    const size_t dies_at = data[1] | (size_t)data[2] << 8;
    memset(&trial, 0, sizeof trial);
    add_lines(&trial, data + 4, size - 4);
    REQUIRE(pipe2(trial.ends, O_CLOEXEC | O_NONBLOCK) == 0 && fcntl(trial.ends[1], F_SETPIPE_SZ, PIPE_BYTES) >= 0);
    REQUIRE((trial.pump = pump_new(&config)));
    pump_set_pipe(trial.pump, 0, trial.ends[1]);
    pump_attach(trial.pump, PUMP_SOURCE_CALLER, -1);
    deal(&trial);
    uint32_t next = 0, read_whole = 0;
    for (int deaths = 0; deaths < data[3] % 3; deaths++) {
        read_whole += read_and_die(&trial, dies_at % STREAM_MAX_BYTES >> deaths, &next);
        const int64_t dropped_bytes = pump_realign(trial.pump, 0, trial.ends[0]);
        REQUIRE(dropped_bytes >= 0 && dropped_bytes <= 8192 + PUMP_LENGTH_BYTES);
        counted(&trial);
    }
    read_whole += read_and_die(&trial, data[1] * 7U, &next);
    struct pump_unread unread;
    REQUIRE(pump_unread(trial.pump, 0, trial.ends[0], &unread) == 0);
    const uint64_t found = read_whole + unread.records, lost_most = 2 * (data[3] % 3U); /* by each death before */
    REQUIRE(counted(&trial).written_total >= found && counted(&trial).written_total <= found + lost_most);
    pump_free(trial.pump);
    close(trial.ends[0]), close(trial.ends[1]);
    return 0;
}
