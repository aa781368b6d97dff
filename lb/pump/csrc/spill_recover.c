#include "mapping.h"
#include "outbox.h"
#include "segment.h"
#include "spill.h"
#include "spill_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* Books the block at `offset`, of which a part is done or a part was not written. Returns as spill_file_block(). */
static int count_part(const struct pump *pump, uint32_t number, int fd, uint64_t offset, struct block *block,
                      uint64_t done, struct pump_recovered *found)
{
    size_t available;
    const int rc = spill_file_block(pump, number, fd, offset, block, &available);
    if (rc <= 0)
        return rc;
    const uint8_t *front = pump_at(pump, spill_of(pump, number)->front);
    const size_t end = block_skip(block->records, front, available);
    const uint64_t skipped = done > block->first ? done - block->first : 0;
    if (skipped < block->records) {
        found->records += block->records - skipped;
        found->bytes += end - block_skip((uint32_t)skipped, front, available);
    }
    found->cut_bytes += block->frames_bytes > available ? available - end : 0;
    return 1;
}

/* Counts what the segment holds that is not done, up to its end or to where it can't be read on. */
static int survey(struct pump *pump, uint32_t number, int fd, uint64_t size, struct pump_recovered *found)
{
    enum segment_kind kind;
    struct block block;
    uint64_t done, offset = SEGMENT_HEADER_BYTES, first = 0;
    int rc = spill_file_header(fd, &kind, &done);
    if (rc > 0 && kind == SEGMENT_OTHER_VERSION)
        return PUMP_ERR_SPILL_VERSION;
    found->is_damaged = rc > 0 && kind == SEGMENT_DAMAGED;
    while (rc > 0 && offset < size) {
        uint64_t end = offset;
        if ((rc = spill_file_block_header(fd, offset, first, &block)) > 0) {
            end += block_head_bytes(&block) + block.frames_bytes;
            first += block.records;
            if (block.frames_bytes > spill_front_bytes(&pump->config))
                return PUMP_ERR_SPILL_TOO_LONG;
            if (end > size || (done > block.first && done < first))
                rc = count_part(pump, number, fd, offset, &block, done, found);
            else if (done <= block.first) {
                found->records += block.records;
                found->bytes += block.frames_bytes;
            }
        }
        if (rc > 0)
            offset = end;
    }
    if (rc == 0)
        found->cut_bytes += size - (offset < size ? offset : 0);
    return rc < 0 ? PUMP_ERR_SPILL : 0;
}

/* Puts the segment behind those taken over before. */
static void take_over(struct pump *pump, uint32_t number, uint64_t segment, const struct pump_recovered *found)
{
    struct spill *spill = spill_of(pump, number);
    spill->write_segment = segment + 1;
    if (!found->records) {
        spill_file_delete(pump, number, segment);
        return;
    }
    if (!pump->pipe[number].is_spilled) {
        outbox_begin_spilled(pump, number);
        spill->read_segment = segment;
    }
    spill->records += found->records;
    spill->bytes += found->bytes;
    spill->recovered_total += found->records;
}

int pump_recover(struct pump *pump, uint32_t number, uint64_t segment, struct pump_recovered *found)
{
    struct stat about;
    *found = (struct pump_recovered){0};
    const int fd = spill_file_open(pump, number, segment, O_RDONLY);
    if (fd < 0)
        return PUMP_ERR_SPILL;
    int rc = PUMP_ERR_SPILL;
    if (fstat(fd, &about) == 0)
        rc = survey(pump, number, fd, (uint64_t)about.st_size, found);
    spill_file_close(fd);
    if (rc < 0)
        return rc;
    pump->counters.spill_disk_bytes += (uint64_t)about.st_size;
    take_over(pump, number, segment, found);
    return 0;
}
