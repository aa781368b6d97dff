#include "mapping.h"
#include "checkpoint.h"
#include "readers.h"
#include "retain.h"
#include "spill_state.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW }; /* who else has the descriptor can't take memory from under the pump */

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
        madvise(pump_at(pump, begin), end - begin, MADV_REMOVE);
    errno = error;
}

/* Of a pipe. */
static uint64_t outbox_part_bytes(const struct pump_config *config)
{
    return whole_pages(mapping_outbox_bytes(config) + DEAL_PAD_BYTES);
}

static uint64_t marks_bytes(const struct pump_config *config)
{
    return config->retains ? RETAIN_MARKS * sizeof(struct retain_mark) : 0;
}

static uint64_t spills_bytes(const struct pump_config *config)
{
    return spill_is_on(config) ? config->pipes * sizeof(struct spill) : 0;
}

/* Where the parts are. */
struct plan {
    uint64_t mapped_bytes, file_bytes;
    uint64_t checkpoints, touched, backlogs, polled, input, spills, scratch, fronts, marks, outboxes, readers;
};

static struct plan plan_of(const struct pump_config *config)
{
    struct plan plan = {0};
    const int spills = spill_is_on(config);
    uint64_t *end = &plan.mapped_bytes;
    reserve(end, sizeof(struct pump) + config->pipes * sizeof(struct pump_pipe));
    plan.checkpoints = reserve(end, checkpoint_bytes(config));
    plan.touched = reserve(end, config->pipes * sizeof(uint32_t));
    plan.backlogs = reserve(end, config->pipes * sizeof(uint64_t));
    plan.polled = reserve(end, (config->pipes + 3) * sizeof(struct pollfd));
    plan.input = reserve(end, input_bytes(config) + DEAL_PAD_BYTES);
    plan.spills = reserve(end, spills_bytes(config));
    plan.scratch = reserve(end, spills ? SPILL_SCRATCH_BYTES : 0);
    plan.fronts = reserve(end, spills ? config->pipes * whole_pages(spill_front_bytes(config)) : 0);
    plan.marks = reserve(end, config->pipes * marks_bytes(config));
    plan.readers = reserve(end, sizeof(struct readers));
    plan.outboxes = reserve(end, config->pipes * outbox_part_bytes(config));
    plan.file_bytes = plan.mapped_bytes + READERS_RINGS_BYTES;
    return plan;
}

static struct pump_header this_header(void)
{
    return (struct pump_header){
        .magic = "lb pump",
        .version = PUMP_MAPPING_VERSION,
        .description = PUMP_MAPPING_DESCRIPTION,
        .pump_bytes = sizeof(struct pump),
        .pipe_bytes = sizeof(struct pump_pipe),
        .spill_bytes = sizeof(struct spill),
    };
}

/* Most of it is never touched, and so has no memory. */
static struct pump *map(int memory_fd, uint64_t bytes)
{
    void *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memory_fd, 0);
    return mapped == MAP_FAILED ? NULL : mapped;
}

/* Returns a descriptor of zeros that nobody can make smaller, or -1 with errno. */
static int new_memory(uint64_t bytes)
{
    const int memory_fd = memfd_create("lb pump", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory_fd < 0)
        return -1;
    if (ftruncate(memory_fd, (off_t)bytes) == 0 && fcntl(memory_fd, F_ADD_SEALS, SEALS) == 0)
        return memory_fd;
    const int error = errno;
    close(memory_fd);
    errno = error;
    return -1;
}

static void place_parts(struct pump *pump, const struct plan *plan)
{
    pump->mapped_bytes = plan->mapped_bytes;
    pump->checkpoints_offset = plan->checkpoints;
    pump->touched_offset = plan->touched;
    pump->backlogs_offset = plan->backlogs;
    pump->polled_offset = plan->polled;
    pump->input_offset = plan->input;
    pump->input_capacity_bytes = input_bytes(&pump->config);
    pump->spills_offset = plan->spills;
    pump->spill_scratch_offset = plan->scratch;
    pump->readers_offset = plan->readers;
    pump->rings_offset = plan->mapped_bytes;
    for (uint32_t number = 0; number < pump->config.pipes; number++) {
        pump->pipe[number].begin = plan->outboxes + number * outbox_part_bytes(&pump->config);
        pump->pipe[number].marks_offset = plan->marks + number * marks_bytes(&pump->config);
        if (spill_is_on(&pump->config))
            spill_of(pump, number)->front = plan->fronts + number * whole_pages(spill_front_bytes(&pump->config));
    }
}

struct pump *mapping_new(const struct pump_config *config)
{
    const struct plan plan = plan_of(config);
    const int memory_fd = new_memory(plan.file_bytes);
    struct pump *pump = memory_fd < 0 ? NULL : map(memory_fd, plan.mapped_bytes);
    if (!pump) {
        const int error = errno;
        if (memory_fd >= 0)
            close(memory_fd);
        errno = error;
        return NULL;
    }
    pump->header = this_header();
    pump->memory_fd = memory_fd;
    pump->config = *config;
    place_parts(pump, &plan);
    return pump;
}

/* The config as far as it decides what is in the mapping; the rest is this process's. */
static struct pump_config lasting(const struct pump_config *config)
{
    struct pump_config lasting;
    memcpy(&lasting, config, sizeof lasting); /* padding included, which is zero */
    lasting.wake_fd = lasting.spill_fd = 0;
    lasting.vectors = 0;
    lasting.stall_ns = 0;
    return lasting;
}

static int is_config(const struct pump_config *one, const struct pump_config *other)
{
    const struct pump_config these = lasting(one), those = lasting(other);
    return !memcmp(&these, &those, sizeof these);
}

struct pump *mapping_of(int memory_fd, const struct pump_config *config)
{
    const struct plan plan = plan_of(config);
    const struct pump_header header = this_header();
    struct stat about;
    const int seals = fcntl(memory_fd, F_GET_SEALS);
    if (seals < 0 || fstat(memory_fd, &about) < 0)
        return NULL;
    errno = EINVAL;
    if ((seals & SEALS) != SEALS || (uint64_t)about.st_size != plan.file_bytes)
        return NULL;
    struct pump *pump = map(memory_fd, plan.mapped_bytes);
    if (!pump)
        return NULL;
    if (memcmp(&pump->header, &header, sizeof header) || !is_config(&pump->config, config)) {
        munmap(pump, plan.mapped_bytes);
        errno = EINVAL;
        return NULL;
    }
    pump->memory_fd = memory_fd;
    pump->config = *config;
    place_parts(pump, &plan);
    return pump;
}

int mapping_restore(struct pump *pump)
{
    const struct plan plan = plan_of(&pump->config);
    if (checkpoint_restore(pump) < 0)
        return -1;
    place_parts(pump, &plan);
    return 0;
}

void mapping_unmap(struct pump *pump)
{
    munmap(pump, pump->mapped_bytes);
}

void mapping_free(struct pump *pump)
{
    const int memory_fd = pump->memory_fd;
    mapping_unmap(pump);
    close(memory_fd);
}
