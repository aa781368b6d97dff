/* Whatever stands in a mapping that another process has left: it is refused, or the pump goes on with it as with its own. A byte
 * outside of a part, an endless loop, a crash or books that do not balance are what is looked for. One that nobody has touched is
 * never refused, and nothing of it is lost.
 *
 * Input: a byte each for the config, the high-water mark and readers, the first part of the session, and how many changes there are; of each
 * change a byte for where, two for the place there, one for its kind, two for the value; then the session. */
#include "checkpoint.h"
#include "input.h"
#include "mapping.h"
#include "readers.h"

#include <fcntl.h>
#include <sanitizer/asan_interface.h>
#include <unistd.h>

enum { PIPES_MAX = 3, READERS_MAX = 2,  CHANGE_BYTES = 6, CHANGES_MAX = 8, SESSION_MAX_BYTES = 8192, TURNS_MAX = 100000 };

static int ends[PIPES_MAX + READERS_MAX][2]; /* readers' last */

static uint64_t read_all(void)
{
    static uint8_t bytes[1 << 16];
    uint64_t total = 0;
    ssize_t got;
    for (uint32_t number = 0; number < PIPES_MAX + READERS_MAX; number++)
        while ((got = read(ends[number][0], bytes, sizeof bytes)) > 0)
            total += (uint64_t)got;
    return total;
}

/* Makes the bytes between the pump's parts untouchable: inside of one mapping nothing else would notice. */
static void set_fences(const struct pump *pump, int are_up)
{
    const struct pump_config *config = &pump->config;
    const uint64_t outbox_bytes = mapping_outbox_bytes(config) + DEAL_PAD_BYTES;
    const uint64_t input_end = pump->input_offset + pump->input_capacity_bytes + DEAL_PAD_BYTES;
    const uint64_t input_next = config->retains ? pump->pipe[0].marks_offset : pump->readers_offset;
    for (uint32_t number = 0; number <= config->pipes; number++) {
        const uint64_t begin = number ? pump->pipe[number - 1].begin + outbox_bytes : input_end;
        const uint64_t end = !number ? input_next : number < config->pipes ? pump->pipe[number].begin : pump->mapped_bytes;
        if (are_up)
            ASAN_POISON_MEMORY_REGION(pump_at(pump, begin), end - begin);
        else
            ASAN_UNPOISON_MEMORY_REGION(pump_at(pump, begin), end - begin);
    }
}

static void set_pipes(struct pump *pump)
{
    for (uint32_t number = 0; number < pump->config.pipes; number++)
        pump_set_pipe(pump, number, ends[number][1]);
    set_fences(pump, 1);
}

static void feed(struct pump *pump, const uint8_t *bytes, size_t length)
{
    size_t room_bytes;
    uint8_t *room = pump_room(pump, &room_bytes);
    if (length > room_bytes)
        return;
    memcpy(room, bytes, length);
    pump_fed(pump, length);
}

/* Runs until there is nothing to do but wait. */
static void run_on(struct pump *pump)
{
    for (int turns = 0;; turns++) {
        REQUIRE(turns < TURNS_MAX);
        const int rc = pump_run(pump, 0);
        if (rc < 0)
            pump_detach(pump);
        if (rc == PUMP_DEADLINE)
            return;
        struct pump_detail detail;
        pump_detail(pump, &detail);
        REQUIRE(detail.length == 0 || rc < 0 || detail.bytes[detail.length - 1] + 1);
    }
}

/* `ring`: of a reader, or NULL. */
static void change(struct pump *pump, uint32_t pipes, uint64_t mapped_bytes, uint8_t *ring, const uint8_t *how)
{
    const uint64_t place = how[1] | how[2] << 8;
    const uint64_t small = how[4] | how[5] << 8;
    const struct pump_pipe *pipe = &pump->pipe[how[0] % pipes];
    const uint64_t saved = pump->checkpoints_offset, saved_pipes = saved + 2 * sizeof(struct saved_pump);
    const uint64_t behind_saved = offsetof(struct pump, generation);
    const uint64_t readers_at = pump->readers_offset;
    const uint64_t at[] = {how[0] & 64 ? saved + place % (2 * sizeof(struct saved_pump)) : behind_saved + place % (sizeof *pump - behind_saved),
                           saved_pipes + place % (2 * pipes * sizeof(struct saved_pipe)), pipe->kept + place % 256,
                           pump->input_offset + pump->text_begin + place % 256, readers_at + place % sizeof(struct readers),
                           readers_at + offsetof(struct readers, reader) + place % (READERS_MAX * sizeof(struct reader))};
    const uint64_t last = mapped_bytes - sizeof(uint64_t); /* an earlier change may have led astray */
    const uint64_t offset = at[(how[0] >> 2) % 6] & ~UINT64_C(3);
    uint8_t *to = ring && how[0] >> 2 == 63 ? ring + (place & ~UINT64_C(3)) : pump_at(pump, offset < last ? offset : last);
    uint64_t value;
    memcpy(&value, to, sizeof value);
    switch (how[3] % 4) {
    case 0:
        value = small;
        break;
    case 1:
        value += small;
        break;
    case 2:
        value -= small;
        break;
    default:
        value ^= small << how[3] / 4 % 48;
    }
    memcpy(to, &value, how[3] & 128 ? 4 : 8);
}

static void require_balance(const struct pump *pump)
{
    for (uint32_t number = 0; number < pump->config.pipes; number++) {
        struct pump_pipe_counters pipe;
        pump_pipe_counters(pump, number, &pipe);
        REQUIRE(pipe.records_total == pipe.written_total + pipe.waiting_records + pipe.dropped_total);
        REQUIRE(pipe.waiting_records == pump_count_waiting(pump, number));
    }
}

static void drain(struct pump *pump)
{
    pump_detach(pump);
    pump_drain(pump);
    for (int turns = 0, rc = 0; rc != PUMP_DRAINED; turns++) {
        REQUIRE(turns < TURNS_MAX);
        read_all();
        rc = pump_run(pump, 0);
        require_balance(pump);
    }
    read_all();
}

/* Everybody wants all. */
static void set_topics(struct pump *pump)
{
    for (uint32_t number = 0; number < READERS_MAX; number++)
        pump_add_topic(pump, number, NULL, 0, NULL, 0);
}

static uint64_t readers_bytes(const struct pump *pump)
{
    uint64_t bytes = 0;
    for (uint32_t number = 0; pump->readers && number < READERS_MAX; number++)
        bytes += pump->readers->reader[number].fd < 0 ? 0 : pump->readers->reader[number].tail - pump->readers->reader[number].head;
    return bytes;
}

/* What a process has of readers besides the mapping ends with it. */
static void end_process(struct readers *readers)
{
    for (uint32_t number = 0; number < READERS_MAX; number++)
        ring_unmap(&readers->reader[number].ring);
    topics_free(&readers->topics);
    close(readers->epoll_fd);
}

static uint64_t written_bytes(const struct pump *pump)
{
    uint64_t bytes = 0;
    for (uint32_t number = 0; number < pump->config.pipes; number++)
        bytes += pump->pipe[number].written_bytes_total + pump->pipe[number].tail - pump->pipe[number].head;
    return bytes;
}

/* Leaves its mapping to be adopted. Returns that, or NULL where it was refused. */
static struct pump *hand_over(struct pump *pump, const struct pump_config *config, const uint8_t *changes, size_t count)
{
    const int memory_fd = dup(pump->memory_fd);
    REQUIRE(memory_fd >= 0);
    static struct readers before;
    const int has_readers = pump->readers != NULL;
    const uint64_t before_bytes = written_bytes(pump), mapped_bytes = pump->mapped_bytes, waiting_bytes = readers_bytes(pump);
    if (has_readers)
        before = *pump->readers;
    set_fences(pump, 0);
    for (size_t at = 0; at < count; at++)
        change(pump, config->pipes, mapped_bytes, has_readers ? before.reader[0].ring.bytes : NULL, changes + at * CHANGE_BYTES);
    munmap(pump, mapped_bytes);
    if (has_readers)
        end_process(&before);
    struct pump *next = pump_adopt(memory_fd, config);
    REQUIRE(next || count);
    REQUIRE(count || written_bytes(next) == before_bytes);
    if (!next) {
        close(memory_fd);
        return NULL;
    }
    for (uint32_t number = 0; number < READERS_MAX; number++) {
        const int rc = pump_go_on_reader(next, number, ends[PIPES_MAX + number][1]);
        REQUIRE(count || !has_readers || rc == 0 || before.reader[number].fd < 0);
    }
    pump_forget_readers(next);
    set_topics(next);
    REQUIRE(count || readers_bytes(next) == waiting_bytes);
    return next;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint16_t marks[] = {50, 300, 5000, 20000};
    static struct pump_config config;
    if (size < 4)
        return 0;
    const size_t count = data[3] % (CHANGES_MAX + 1), head = 4 + count * CHANGE_BYTES;
    if (size < head || size - head > SESSION_MAX_BYTES)
        return 0;
    config = (struct pump_config){.pipes = 1 + data[0] % PIPES_MAX, .max_frame_bytes = 4096, .wake_fd = -1, .stall_ns = INT64_MAX / 2};
    config.route = (data[0] >> 2) % 3;
    config.vectors = (data[0] >> 4) % 3;
    config.retains = data[0] >> 7;
    config.high_water_bytes = marks[data[1] % 4];
    for (uint32_t number = 0; number < PIPES_MAX + READERS_MAX && !ends[number][1]; number++) {
        REQUIRE(pipe2(ends[number], O_CLOEXEC | O_NONBLOCK) == 0);
        REQUIRE(fcntl(ends[number][1], F_SETPIPE_SZ, 4096) >= 0);
    }
    struct pump *pump = pump_new(&config);
    REQUIRE(pump);
    const int own_fd = pump->memory_fd;
    set_pipes(pump);
    for (uint32_t number = 0; number < config.pipes; number++)
        pump_set_policy(pump, number, (enum pump_policy)((data[1] >> 2) % 3));
    for (uint32_t number = 0; number < (data[1] >> 4) % (READERS_MAX + 1u); number++)
        REQUIRE(pump_add_reader(pump, ends[PIPES_MAX + number][1], data[1] >> 7 ? PUMP_POLICY_DROP_OLDEST : PUMP_POLICY_DROP_NEWEST,
                                data[1] >> 6 & 1, 0) == (int)number);
    set_topics(pump);
    pump_attach(pump, PUMP_SOURCE_CALLER, -1);
    const size_t first = (size - head) * data[2] / 256;
    feed(pump, data + head, first);
    run_on(pump);
    pump = hand_over(pump, &config, data + 4, count);
    close(own_fd);
    if (pump) {
        set_pipes(pump);
        run_on(pump);
        read_all();
        feed(pump, data + head + first, size - head - first);
        run_on(pump);
        drain(pump);
        set_fences(pump, 0);
        pump_free(pump);
    }
    read_all();
    return 0;
}
