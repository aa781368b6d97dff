#include "retain.h"

static struct retain_mark *mark_at(const struct pump *pump, const struct pump_pipe *pipe, uint32_t index)
{
    struct retain_mark *marks = (struct retain_mark *)(void *)pump_at(pump, pipe->marks_offset);
    return &marks[(pipe->first_mark + index) % RETAIN_MARKS];
}

void retain_mark(struct pump *pump, struct pump_pipe *pipe)
{
    const uint64_t position = retain_position(pipe, pipe->frame);
    const uint64_t last = pipe->mark_count ? mark_at(pump, pipe, pipe->mark_count - 1)->position
                                           : retain_position(pipe, pipe->kept);
    /* Where the last one is ahead, records are written once more: its place stays what it is. */
    if (position < last + RETAIN_MARK_BYTES || pipe->mark_count == RETAIN_MARKS)
        return;
    *mark_at(pump, pipe, pipe->mark_count++) = (struct retain_mark){pipe->written_total, position};
}

static void keep_from(struct pump_pipe *pipe, uint64_t offset, uint64_t records)
{
    pipe->kept = offset;
    pipe->kept_total = records;
}

uint64_t retain_exact(const struct pump *pump, const struct pump_pipe *pipe)
{
    uint64_t offset = pipe->kept;
    for (uint64_t records = pipe->kept_total; records < pipe->acknowledged_total; records++)
        offset += pump_framed_bytes(pump, offset);
    return offset;
}

void retain_exactly(struct pump *pump, struct pump_pipe *pipe)
{
    keep_from(pipe, retain_exact(pump, pipe), pipe->acknowledged_total);
}

void retain_no_more(struct pump *pump, struct pump_pipe *pipe)
{
    while (pipe->mark_count && mark_at(pump, pipe, 0)->records <= pipe->acknowledged_total) {
        const struct retain_mark *mark = mark_at(pump, pipe, 0);
        keep_from(pipe, pipe->begin + (mark->position - pipe->moved_bytes_total), mark->records);
        pipe->first_mark = (pipe->first_mark + 1) % RETAIN_MARKS;
        pipe->mark_count--;
    }
    if (pipe->acknowledged_total == pipe->written_total)
        keep_from(pipe, pipe->frame, pipe->acknowledged_total);
}
