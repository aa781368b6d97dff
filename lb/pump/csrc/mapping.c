#include "mapping.h"
#include "retain.h"
#include "spill_state.h"

#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t whole_pages(uint64_t bytes)
{
    const uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    return (bytes + page_bytes - 1) / page_bytes * page_bytes;
}

/* Reserves the next part of the mapping and returns its offset. */
static uint64_t reserve(uint64_t *mapped_bytes, uint64_t part_bytes)
{
    const uint64_t offset = *mapped_bytes;
    *mapped_bytes += whole_pages(part_bytes);
    return offset;
}

static size_t input_bytes(const struct pump_config *config)
{
    return config->max_frame_bytes + INPUT_KEPT_BYTES;
}

uint64_t mapping_waiting_bytes(const struct pump_config *config)
{
    const uint64_t longest_bytes = PUMP_LENGTH_BYTES + config->max_frame_bytes;
    const uint64_t waiting_bytes = config->high_water_bytes > longest_bytes ? config->high_water_bytes : longest_bytes;
    return waiting_bytes * (config->retains ? 2 : 1);
}

/* Besides that, an outbox has room for all that the input can hold when draining begins: of its smallest records, "{}"
 * and a separator, three bytes become six. */
uint64_t mapping_outbox_bytes(const struct pump_config *config)
{
    return mapping_waiting_bytes(config) + 2 * input_bytes(config);
}

void mapping_give_back(struct pump *pump, uint64_t begin, uint64_t end)
{
    const int error = errno;
    begin = whole_pages(begin);
    end = whole_pages(end); /* no part shares its last page with another */
    if (begin < end)
        madvise(pump_at(pump, begin), end - begin, MADV_DONTNEED);
    errno = error;
}

static uint64_t spills_bytes(const struct pump_config *config)
{
    return spill_is_on(config) ? config->pipes * sizeof(struct spill) : 0;
}

struct pump *mapping_new(const struct pump_config *config)
{
    uint64_t mapped_bytes = 0;
    const uint64_t outbox_bytes = mapping_outbox_bytes(config) + DEAL_PAD_BYTES;
    reserve(&mapped_bytes, sizeof(struct pump) + config->pipes * sizeof(struct pump_pipe));
    const uint64_t touched_offset = reserve(&mapped_bytes, config->pipes * sizeof(uint32_t));
    const uint64_t backlogs_offset = reserve(&mapped_bytes, config->pipes * sizeof(uint64_t));
    const uint64_t polled_offset = reserve(&mapped_bytes, (config->pipes + 3) * sizeof(struct pollfd));
    const uint64_t input_offset = reserve(&mapped_bytes, input_bytes(config) + DEAL_PAD_BYTES);
    const uint64_t spills_offset = reserve(&mapped_bytes, spills_bytes(config));
    const uint64_t scratch_offset = reserve(&mapped_bytes, spill_is_on(config) ? SPILL_SCRATCH_BYTES : 0);
    uint64_t fronts_offset = mapped_bytes;
    for (uint32_t number = 0; spill_is_on(config) && number < config->pipes; number++)
        reserve(&mapped_bytes, spill_front_bytes(config));
    const uint64_t mark_bytes = config->retains ? RETAIN_MARKS * sizeof(struct retain_mark) : 0;
    const uint64_t marks_offset = reserve(&mapped_bytes, config->pipes * mark_bytes);
    uint64_t outboxes_offset = mapped_bytes;
    for (uint32_t number = 0; number < config->pipes; number++)
        reserve(&mapped_bytes, outbox_bytes);

    /* Most of it is never touched, and so has no memory. */
    struct pump *pump =
        mmap(NULL, mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pump == MAP_FAILED)
        return NULL;
    pump->mapped_bytes = mapped_bytes;
    pump->config = *config;
    pump->touched_offset = touched_offset;
    pump->backlogs_offset = backlogs_offset;
    pump->polled_offset = polled_offset;
    pump->input_offset = input_offset;
    pump->input_capacity_bytes = input_bytes(config);
    pump->spills_offset = spills_offset;
    pump->spill_scratch_offset = scratch_offset;
    for (uint32_t number = 0; number < config->pipes; number++) {
        pump->pipe[number].begin = reserve(&outboxes_offset, outbox_bytes);
        pump->pipe[number].marks_offset = marks_offset + number * mark_bytes;
        if (spill_is_on(config))
            spill_of(pump, number)->front = reserve(&fronts_offset, spill_front_bytes(config));
    }
    return pump;
}

void mapping_free(struct pump *pump)
{
    munmap(pump, pump->mapped_bytes);
}
