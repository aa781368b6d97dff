/* Whatever a feed sends: the same bytes in each pipe and the same events, whether it comes in one read and the readers are quick, or
 * in small reads with readers that dawdle; whether the vectors of this machine are used or not; and the books balance at every moment.
 *
 * Input: a byte each for the route, the layout and the number of pipes, the longest frame, the high-water mark, the cuts; then the session. */
#include "input.h"
#include "mapping.h"

#include <fcntl.h>
#include <sanitizer/asan_interface.h>
#include <unistd.h>

enum { PIPES_MAX = 4, SESSION_MAX_BYTES = 8192, STREAM_MAX_BYTES = 3 * SESSION_MAX_BYTES, EVENTS_MAX = SESSION_MAX_BYTES };

struct event {
    int kind;
    int detail;      /* an opcode, or an error */
    uint64_t place;  /* of a fault, or the length of other bytes */
    uint64_t digest; /* of the bytes; a fault's may be shown in part */
};

struct run {
    struct pump *pump;
    struct pump_config config;
    int ends[PIPES_MAX][2];
    size_t received_bytes[PIPES_MAX];
    uint8_t received[PIPES_MAX][STREAM_MAX_BYTES];
    size_t events;
    struct event event[EVENTS_MAX];
    int error;
};

static uint64_t digest_of(const uint8_t *bytes, size_t length)
{
    uint64_t digest = length;
    for (size_t i = 0; i < length; i++)
        digest = digest * 1099511628211U + bytes[i];
    return digest;
}

/* Makes the bytes between the pump's parts untouchable: inside of one mapping nothing else would notice. */
static void set_fences(const struct run *run, int are_up)
{
    const struct pump *pump = run->pump;
    const uint64_t outbox_bytes = mapping_outbox_bytes(&run->config) + DEAL_PAD_BYTES;
    const uint64_t input_end = pump->input_offset + pump->input_capacity_bytes + DEAL_PAD_BYTES;
    for (uint32_t number = 0; number <= run->config.pipes; number++) {
        const uint64_t begin = number ? pump->pipe[number - 1].begin + outbox_bytes : input_end;
        const uint64_t end = number < run->config.pipes ? pump->pipe[number].begin : pump->mapped_bytes;
        if (are_up)
            ASAN_POISON_MEMORY_REGION(pump_at(pump, begin), end - begin);
        else
            ASAN_UNPOISON_MEMORY_REGION(pump_at(pump, begin), end - begin);
    }
}

static void begin(struct run *run, int pipe_bytes)
{
    for (uint32_t number = 0; number < PIPES_MAX && !run->ends[number][1]; number++) {
        REQUIRE(pipe2(run->ends[number], O_CLOEXEC | O_NONBLOCK) == 0);
        REQUIRE(fcntl(run->ends[number][1], F_SETPIPE_SZ, pipe_bytes) >= 0);
    }
    run->pump = pump_new(&run->config);
    REQUIRE(run->pump);
    set_fences(run, 1);
    for (uint32_t number = 0; number < run->config.pipes; number++)
        pump_set_pipe(run->pump, number, run->ends[number][1]);
    pump_attach(run->pump, PUMP_SOURCE_CALLER, -1);
    memset(run->received_bytes, 0, sizeof run->received_bytes);
    run->events = 0;
    run->error = 0;
}

static void end(struct run *run)
{
    set_fences(run, 0);
    pump_free(run->pump);
}

static size_t read_pipe(struct run *run, uint32_t number, size_t most_bytes)
{
    const size_t left = STREAM_MAX_BYTES - run->received_bytes[number];
    const ssize_t got =
        read(run->ends[number][0], run->received[number] + run->received_bytes[number], most_bytes < left ? most_bytes : left);
    if (got > 0)
        run->received_bytes[number] += (size_t)got;
    return got > 0 ? (size_t)got : 0;
}

static void read_all(struct run *run)
{
    for (uint32_t number = 0; number < run->config.pipes; number++)
        while (read_pipe(run, number, STREAM_MAX_BYTES))
            ;
}

static void require_balance(const struct run *run)
{
    struct pump_counters counters;
    uint64_t records = 0;
    pump_counters(run->pump, &counters);
    for (uint32_t number = 0; number < run->config.pipes; number++) {
        struct pump_pipe_counters pipe;
        pump_pipe_counters(run->pump, number, &pipe);
        REQUIRE(pipe.records_total == pipe.written_total + pipe.waiting_records + pipe.dropped_total);
        REQUIRE(pipe.waiting_records == pump_count_waiting(run->pump, number));
        REQUIRE(pipe.written_bytes_total >= run->received_bytes[number]);
        records += pipe.records_total;
    }
    REQUIRE(counters.records_total == records);
}

/* Runs until there is nothing to do but wait. */
static void run_on(struct run *run)
{
    for (;;) {
        const int rc = pump_run(run->pump, 0);
        require_balance(run);
        if (rc == PUMP_DEADLINE)
            return;
        if (rc < 0) {
            REQUIRE(rc > PUMP_ERR_NOT_ARRAY);
            run->error = rc;
            pump_detach(run->pump);
            return;
        }
        struct pump_detail detail;
        pump_detail(run->pump, &detail);
        struct event *event = &run->event[run->events++];
        REQUIRE(run->events < EVENTS_MAX);
        *event = (struct event){.kind = rc, .place = detail.length, .digest = digest_of(detail.bytes, detail.length)};
        if (rc == PUMP_CONTROL)
            event->detail = detail.opcode;
        if (rc == PUMP_MALFORMED)
            *event = (struct event){.kind = rc, .detail = detail.error, .place = detail.message_offset_bytes};
    }
}

static void feed(struct run *run, const uint8_t *bytes, size_t length)
{
    size_t room_bytes;
    uint8_t *room = pump_room(run->pump, &room_bytes);
    REQUIRE(room_bytes >= PUMP_ROOM_BYTES && length <= room_bytes);
    memcpy(room, bytes, length);
    pump_fed(run->pump, length);
}

static void run_quickly(struct run *run, const uint8_t *session, size_t size)
{
    feed(run, session, size);
    do {
        run_on(run);
        read_all(run);
    } while (!run->error && pump_has_input(run->pump));
}

static void run_slowly(struct run *run, const uint8_t *session, size_t size, uint32_t numbers)
{
    for (size_t at = 0; at < size && !run->error;) {
        const size_t wanted = 1 + next_number(&numbers) % (next_number(&numbers) % 4 ? 30 : 3000);
        const size_t length = wanted < size - at ? wanted : size - at;
        feed(run, session + at, length);
        at += length;
        for (;;) {
            run_on(run);
            if (run->error || !pump_has_input(run->pump))
                break;
            read_pipe(run, next_number(&numbers) % run->config.pipes, 1 + next_number(&numbers) % 500);
        }
    }
}

static void drain(struct run *run)
{
    pump_detach(run->pump);
    pump_drain(run->pump);
    for (int rc = PUMP_DEADLINE; rc != PUMP_DRAINED;) {
        read_all(run);
        rc = pump_run(run->pump, 0);
        require_balance(run);
        REQUIRE(rc == PUMP_DEADLINE || rc == PUMP_PIPE_DRAINED || rc == PUMP_DRAINED);
    }
    read_all(run);
}

/* A record may be found too long before bad UTF-8 behind that length is met, or not, as the reads fall. */
static void forget_length_before_bad_utf8(struct run *one, const struct run *other)
{
    if (one->error == PUMP_ERR_UTF8 && one->events == other->events + 1 &&
        one->event[one->events - 1].detail == PUMP_ERR_RECORD_TOO_BIG)
        one->events--;
}

static void require_same(struct run *one, struct run *other)
{
    REQUIRE(one->error == other->error);
    forget_length_before_bad_utf8(one, other);
    REQUIRE(one->events == other->events);
    REQUIRE(!memcmp(one->event, other->event, one->events * sizeof *one->event));
    struct pump_counters counted, others;
    pump_counters(one->pump, &counted);
    pump_counters(other->pump, &others);
    REQUIRE(counted.skipped_elements_total == others.skipped_elements_total);
    REQUIRE(one->error == PUMP_ERR_UTF8 || counted.skipped_bytes_total == others.skipped_bytes_total);
    for (uint32_t number = 0; number < one->config.pipes; number++) {
        REQUIRE(one->received_bytes[number] == other->received_bytes[number]);
        REQUIRE(!memcmp(one->received[number], other->received[number], one->received_bytes[number]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run quick, slow;
    static const uint16_t marks[] = {1, 50, 300, 5000};
    if (size < 4 || size - 4 > SESSION_MAX_BYTES)
        return 0;
    quick.config = (struct pump_config){
        .route = data[0] & 1 ? PUMP_ROUTE_SYMBOL : PUMP_ROUTE_ROUND_ROBIN,
        .layout = data[0] & 8 ? PUMP_LAYOUT_BINANCE : PUMP_LAYOUT_POLYGON,
        .pipes = 1 + (data[0] >> 1) % PIPES_MAX,
        .max_frame_bytes = 20 + 40U * data[1],
        .high_water_bytes = 4096,
        .wake_fd = -1,
        .stall_ns = INT64_MAX / 2,
    };
    slow.config = quick.config;
    quick.config.vectors = (data[0] >> 6) % 3;
    slow.config.vectors = (data[1] >> 6) % 3;
    slow.config.high_water_bytes = marks[data[2] % 4];
    begin(&quick, 1 << 16);
    begin(&slow, 4096);
    run_quickly(&quick, data + 4, size - 4);
    run_slowly(&slow, data + 4, size - 4, data[3] + 1U);
    drain(&quick);
    drain(&slow);
    require_same(&slow, &quick);
    end(&quick);
    end(&slow);
    return 0;
}
