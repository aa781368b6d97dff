/* Whatever stands in a segment: what is found at the start is delivered or counted as damaged, to the record, and what is delivered
 * are whole frames. A crash, an endless loop or a wrong count is what is looked for.
 *
 * Input: a byte for how much the reader takes at a time, and for what is made of the bytes, which hardly would come to a right CRC by
 * themselves; two for the length of the first segment; then both segments. */
#include "crc32c.h"
#include "input.h"
#include "pump.h"
#include "segment.h"

#include <fcntl.h>
#include <unistd.h>

enum { SEGMENTS_MAX_BYTES = 1 << 15, STREAM_MAX_BYTES = 1 << 16, LONGEST_BYTES = 4096 };

static const char *const names[] = {"00000-0000000000000000.spill", "00000-0000000000000001.spill"};

static char folder_path[] = "/tmp/fuzz-spill-XXXXXX";

static void remove_folder(void)
{
    rmdir(folder_path);
}

static int open_folder(void)
{
    static int fd = -1;
    if (fd < 0) {
        REQUIRE(mkdtemp(folder_path));
        fd = open(folder_path, O_RDONLY | O_DIRECTORY);
        REQUIRE(fd >= 0);
        atexit(remove_folder);
    }
    return fd;
}

/* Makes blocks of what stands there, as far as it goes: their headers are right, and, where `is_good`, their records. */
static void make_blocks(uint8_t *bytes, size_t length, int is_good)
{
    uint64_t first = 0;
    for (size_t at = SEGMENT_HEADER_BYTES; length > at + BLOCK_HEADER_BYTES;) {
        const size_t left = length - at - BLOCK_HEADER_BYTES;
        struct block block = {.records = 1 + bytes[at + 4] % 8, .frames_bytes = 8 + bytes[at + 8], .first = first};
        if (block.frames_bytes < block.records * 4)
            block.frames_bytes = block.records * 4;
        uint8_t *crcs = bytes + at + BLOCK_HEADER_BYTES, *frames = crcs + block.records * BLOCK_CRC_BYTES;
        block_header(&block, bytes + at);
        for (uint32_t i = 0, begin = 0; is_good && left >= block_head_bytes(&block) + block.frames_bytes && i < block.records; i++) {
            const uint32_t room = (uint32_t)block.frames_bytes - begin - 4 * (block.records - i);
            const uint32_t text = i + 1 < block.records && room ? frames[begin] % (room + 1) : room;
            const uint32_t crc_of = 4 + text;
            memcpy(frames + begin, &text, sizeof text);
            const uint32_t crc = crc32c(frames + begin, crc_of);
            REQUIRE(crc == crc32c_portable(frames + begin, crc_of));
            memcpy(crcs + i * BLOCK_CRC_BYTES, &crc, sizeof crc);
            begin += crc_of;
        }
        at += block_head_bytes(&block) + block.frames_bytes;
        first += block.records;
    }
}

static void write_segment(int folder, const char *name, const uint8_t *bytes, size_t length)
{
    const int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    REQUIRE(fd >= 0);
    REQUIRE(write(fd, bytes, length) == (ssize_t)length);
    close(fd);
}

static struct pump *new_pump(int folder, const int ends[2])
{
    const struct pump_config config = {
        .pipes = 1,
        .max_frame_bytes = LONGEST_BYTES,
        .high_water_bytes = 1000,
        .wake_fd = -1,
        .stall_ns = INT64_MAX / 2,
        .spill_fd = folder,
        .spill_max_bytes = 1 << 30,
        .spill_segment_bytes = 4096,
    };
    struct pump *pump = pump_new(&config);
    REQUIRE(pump);
    pump_set_pipe(pump, 0, ends[1]);
    pump_set_policy(pump, 0, PUMP_POLICY_SPILL);
    return pump;
}

static uint64_t frames_in(const uint8_t *stream, size_t length)
{
    uint64_t frames = 0;
    for (size_t at = 0; at < length; frames++) {
        uint32_t framed;
        REQUIRE(length - at >= sizeof framed);
        memcpy(&framed, stream + at, sizeof framed);
        at += sizeof framed;
        REQUIRE(framed <= length - at);
        at += framed;
    }
    return frames;
}

static void require_balance(const struct pump *pump, uint64_t found)
{
    struct pump_pipe_counters pipe;
    pump_pipe_counters(pump, 0, &pipe);
    REQUIRE(pipe.recovered_total == found);
    REQUIRE(found == pipe.written_total + pipe.spilled_records + pipe.damaged_total);
}

/* Returns how many bytes came. */
static size_t deliver(struct pump *pump, int read_fd, uint64_t found, size_t bite_bytes, uint8_t *stream)
{
    size_t length = 0;
    struct pump_pipe_counters pipe;
    for (int idle = 0; idle < 3; idle++) {
        const size_t left = STREAM_MAX_BYTES - length;
        REQUIRE(left);
        REQUIRE(pump_run(pump, 0) == PUMP_DEADLINE);
        require_balance(pump, found);
        const ssize_t got = read(read_fd, stream + length, bite_bytes < left ? bite_bytes : left);
        if (got > 0) {
            length += (size_t)got;
            idle = 0;
        }
    }
    pump_pipe_counters(pump, 0, &pipe);
    REQUIRE(pipe.spilled_records == 0);
    return length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t stream[STREAM_MAX_BYTES], segments[SEGMENTS_MAX_BYTES];
    int ends[2];
    if (size < 3 || size > SEGMENTS_MAX_BYTES)
        return 0;
    const size_t first_bytes = (size_t)(data[1] | data[2] << 8) % (size - 2);
    const int folder = open_folder();
    memcpy(segments, data + 3, size - 3);
    if (data[0] & 1)
        make_blocks(segments, first_bytes, data[0] & 2);
    if (data[0] & 4)
        make_blocks(segments + first_bytes, size - 3 - first_bytes, data[0] & 2);
    write_segment(folder, names[0], segments, first_bytes);
    write_segment(folder, names[1], segments + first_bytes, size - 3 - first_bytes);
    REQUIRE(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    REQUIRE(fcntl(ends[1], F_SETPIPE_SZ, 4096) >= 0);
    struct pump *pump = new_pump(folder, ends);
    uint64_t found = 0;
    for (uint64_t segment = 0; segment < 2; segment++) {
        struct pump_recovered recovered;
        if (pump_recover(pump, 0, segment, &recovered) == 0)
            found += recovered.records;
        require_balance(pump, found);
    }
    const size_t length = deliver(pump, ends[0], found, 1 + 40U * (data[0] >> 3), stream);
    struct pump_pipe_counters pipe;
    pump_pipe_counters(pump, 0, &pipe);
    REQUIRE(frames_in(stream, length) == pipe.written_total);
    pump_free(pump);
    close(ends[0]);
    close(ends[1]);
    for (int segment = 0; segment < 2; segment++)
        unlinkat(folder, names[segment], 0);
    return 0;
}
