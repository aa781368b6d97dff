#include "spill.h"
#include "checkpoint.h"
#include "mapping.h"
#include "segment.h"
#include "spill_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { RETRY_MS = 100 /* where the disk has refused */ };

/* The pipe is spilled from this block on, which stands at the end of the last segment. Of its first record,
 * `begun_bytes` were written to the pipe: it stays in memory, for whatever happens to the disk, its rest must follow. */
static void begin_with(struct pump *pump, uint32_t number, const struct block *block, uint64_t begun_bytes)
{
    const struct pump_pipe *pipe = &pump->pipe[number];
    struct spill *spill = spill_of(pump, number);
    pump->pipe[number].is_spilled = 1;
    spill->read_segment = spill->write_segment;
    spill->read_offset = spill->write_offset - block_head_bytes(block) - block->frames_bytes;
    spill->read_first = spill->read_index = block->first;
    spill->frame = spill->tail = spill->front;
    spill->begun_bytes = begun_bytes;
    if (begun_bytes) {
        const size_t framed = pump_framed_bytes(pump, pipe->frame);
        memcpy(pump_at(pump, spill->front), pump_at(pump, pipe->frame), framed);
        spill->tail += framed;
    }
}

/* errno 0: the spill is as large as it may be. */
static void count_refusal(struct pump *pump)
{
    pump->counters.spill_refusals_total++;
    pump->counters.spill_errno = errno;
}

void spill_outbox(struct pump *pump, uint32_t number)
{
    struct pump_pipe *pipe = &pump->pipe[number];
    struct spill *spill = spill_of(pump, number);
    if (pump->spill_retry_ns && now_ns() < pump->spill_retry_ns)
        return;
    while (pipe->frame < pipe->tail) {
        struct block block;
        if (spill->write_offset >= pump->config.spill_segment_bytes) {
            spill->write_segment++;
            spill->write_offset = spill->write_index = 0;
        }
        if (spill_file_append(pump, number, pump_at(pump, pipe->frame), pipe->tail - pipe->frame, &block) < 0) {
            count_refusal(pump);
            pump->spill_retry_ns = now_ns() + RETRY_MS * INT64_C(1000000);
            return;
        }
        pump->spill_retry_ns = 0;
        if (!pipe->is_spilled)
            begin_with(pump, number, &block, pipe->head - pipe->frame);
        pipe->frame += block.frames_bytes;
        pipe->head = pipe->frame;
        spill->records += block.records;
        pipe->spilled_total += block.records;
        spill->bytes += block.frames_bytes;
        pipe->kept = pipe->frame;
        checkpoint_pipe(pump, number);
    }
}

static void leave_segment(struct pump *pump, uint32_t number)
{
    struct spill *spill = spill_of(pump, number);
    spill_file_delete(pump, number, spill->read_segment);
    if (spill->read_segment == spill->write_segment) {
        spill->write_segment++;
        spill->write_offset = spill->write_index = 0;
    }
    spill->read_segment++;
    spill->read_offset = spill->read_index = spill->read_first = 0;
}

/* Nothing is left to read. What should have been there is damaged. */
static void end(struct pump *pump, uint32_t number)
{
    struct spill *spill = spill_of(pump, number);
    while (spill->read_segment < spill->write_segment || spill->write_offset)
        leave_segment(pump, number);
    spill->damaged_total += spill->records;
    spill->records = spill->bytes = spill->begun_bytes = 0;
    pump->pipe[number].is_spilled = 0;
    mapping_give_back(pump, spill->front, spill->front + spill_front_bytes(&pump->config));
}

/* Takes the next good records of a block that was read. Returns whether there are any. */
static int take(struct pump *pump, uint32_t number, const struct block *block, size_t available)
{
    struct spill *spill = spill_of(pump, number);
    const uint32_t from = (uint32_t)(spill->read_index - spill->read_first);
    const struct block_run run =
        block_next(block, spill_file_crcs(pump), pump_at(pump, spill->front), available, from);
    spill->damaged_total += run.damaged;
    spill->records -= run.damaged;
    spill->read_index += run.damaged;
    spill->frame = spill->front + run.begin;
    spill->tail = spill->frame + run.bytes;
    return run.records > 0;
}

/* Returns as spill_load(): 0 where the segment has no more. */
static int load_from(struct pump *pump, uint32_t number, int fd)
{
    struct spill *spill = spill_of(pump, number);
    enum segment_kind kind;
    struct block block;
    int rc;
    if (spill->read_offset == 0) {
        if ((rc = spill_file_header(fd, &kind, &spill->read_index)) <= 0)
            return rc;
        spill->read_offset = SEGMENT_HEADER_BYTES;
    }
    while ((rc = spill_file_block_header(fd, spill->read_offset, spill->read_first, &block)) > 0) {
        size_t available;
        const uint64_t next_offset = spill->read_offset + block_head_bytes(&block) + block.frames_bytes;
        const uint64_t next_first = spill->read_first + block.records;
        if (spill->read_index < next_first) {
            if ((rc = spill_file_block(pump, number, fd, spill->read_offset, &block, &available)) <= 0)
                return rc;
            if (spill->read_index - spill->read_first < block.records && take(pump, number, &block, available)) {
                spill_file_note_done(fd, spill->read_index);
                return 1;
            }
        }
        spill->read_offset = next_offset;
        spill->read_first = next_first;
    }
    return rc;
}

int spill_load(struct pump *pump, uint32_t number)
{
    const struct spill *spill = spill_of(pump, number);
    while (spill->records &&
           (spill->read_segment != spill->write_segment || spill->read_offset < spill->write_offset)) {
        const int fd = spill_file_open(pump, number, spill->read_segment, O_RDWR);
        const int rc = fd >= 0 ? load_from(pump, number, fd) : errno == ENOENT ? 0 : -1;
        spill_file_close(fd);
        if (rc < 0)
            count_refusal(pump);
        if (rc)
            return rc;
        leave_segment(pump, number);
    }
    end(pump, number);
    return 0;
}

size_t spill_due_bytes(const struct pump *pump, uint32_t number)
{
    const struct spill *spill = spill_of(pump, number);
    if (!pump->draining)
        return spill->tail - spill->frame - spill->begun_bytes;
    return spill->begun_bytes ? pump_framed_bytes(pump, spill->frame) - spill->begun_bytes : 0;
}

void spill_written(struct pump *pump, uint32_t number, size_t bytes)
{
    struct spill *spill = spill_of(pump, number);
    spill->begun_bytes += bytes;
    while (spill->begun_bytes) {
        const size_t framed = pump_framed_bytes(pump, spill->frame);
        if (spill->begun_bytes < framed)
            return;
        spill->frame += framed;
        spill->begun_bytes -= framed;
        spill->bytes -= framed;
        spill->records--;
        spill->read_index++;
        spill->written_total++;
    }
}

void spill_note_done(struct pump *pump, uint32_t number)
{
    const struct spill *spill = spill_of(pump, number);
    const int fd = spill->read_offset ? spill_file_open(pump, number, spill->read_segment, O_WRONLY) : -1;
    if (fd >= 0)
        spill_file_note_done(fd, spill->read_index);
    spill_file_close(fd);
}
