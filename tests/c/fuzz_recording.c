/* Any bytes as frames, and as lines: nothing is read or written behind its end, and lines made into frames and back are the same lines. */
#include "input.h"
#include "recording.h"

static uint8_t lines_made[INPUT_MAX_BYTES], frames_made[INPUT_MAX_BYTES];

static void frames_to_lines(const uint8_t *data, size_t size)
{
    struct recording_lines lines = {0};
    const int64_t bytes = recording_lines(guarded(data, size, 0), size, lines_made, &lines);
    REQUIRE(bytes >= -1);
    REQUIRE(bytes <= (int64_t)size);
    uint64_t ends = 0;
    for (int64_t at = 0; at < bytes; at++)
        ends += lines_made[at] == '\n';
    REQUIRE(bytes < 0 || ends == lines.records);
    REQUIRE(lines.newlines + 4 * lines.records <= size);
}

static void lines_to_frames(const uint8_t *data, size_t size, size_t room)
{
    struct recording_lines lines = {0};
    const int64_t count = recording_frames(guarded(data, size, 0), size, frames_made, room);
    REQUIRE(count >= -1);
    if (count < 0)
        return;
    const size_t bytes = size + 3 * (size_t)count;
    REQUIRE(bytes <= room);
    REQUIRE(recording_lines(guarded(frames_made, bytes, 0), bytes, lines_made, &lines) == (int64_t)size);
    REQUIRE(lines.records == (uint64_t)count && lines.newlines == 0);
    REQUIRE(size == 0 || memcmp(lines_made, data, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > INPUT_MAX_BYTES / 5)
        return 0;
    frames_to_lines(data + 1, size - 1);
    lines_to_frames(data + 1, size - 1, data[0] & 1 ? sizeof frames_made : 20U * data[0]);
    return 0;
}
