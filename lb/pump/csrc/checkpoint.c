/* Each thing that is saved has two places with a generation each, and the pump has the last checkpoint's: valid is the newest that
 * is not newer than that. So a checkpoint is there as a whole from one store on. A killed process has made its stores in their order:
 * only the compiler has to be held to it. */
#include "checkpoint.h"

uint64_t checkpoint_bytes(const struct pump_config *config)
{
    return 2 * sizeof(struct saved_pump) + 2 * config->pipes * sizeof(struct saved_pipe);
}

/* Both return the first of two. */

static struct saved_pump *saved_pumps(const struct pump *pump)
{
    return (struct saved_pump *)(void *)pump_at(pump, pump->checkpoints_offset);
}

static struct saved_pipe *saved_pipes(const struct pump *pump, uint32_t number)
{
    return (struct saved_pipe *)(void *)(saved_pumps(pump) + 2) + (size_t)2 * number;
}

/* Stores before it stay before those behind it. */
static inline void in_order(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void save_pump(struct pump *pump, uint64_t generation)
{
    struct saved_pump *saved = saved_pumps(pump);
    saved += saved[1].generation < saved[0].generation;
    saved->generation = 0;
    in_order();
    memcpy(saved->bytes, (const uint8_t *)pump + SAVED_BEGIN, SAVED_BYTES);
    in_order();
    saved->generation = generation;
}

static void save_pipe(struct pump *pump, uint32_t number, uint64_t generation)
{
    struct saved_pipe *saved = saved_pipes(pump, number);
    saved += saved[1].generation < saved[0].generation;
    saved->generation = 0;
    in_order();
    saved->pipe = pump->pipe[number];
    if (spill_is_on(&pump->config))
        saved->spill = *spill_of(pump, number);
    in_order();
    saved->generation = generation;
}

static void set_generation(struct pump *pump, uint64_t generation)
{
    in_order();
    pump->generation = generation;
    in_order();
}

/* `saved`: a pipe of this generation that is saved already. */
static void save_dealt(struct pump *pump, uint64_t generation, uint32_t saved)
{
    const uint32_t *touched = pump_touched(pump);
    for (uint32_t at = 0; at < pump->touched_count; at++)
        if (touched[at] != saved)
            save_pipe(pump, touched[at], generation);
    save_pump(pump, generation);
    pump->is_saved = 1;
}

void checkpoint(struct pump *pump)
{
    const uint64_t generation = pump->generation + 1;
    save_dealt(pump, generation, UINT32_MAX);
    set_generation(pump, generation);
}

void checkpoint_all(struct pump *pump)
{
    const uint64_t generation = pump->generation + 1;
    for (uint32_t number = 0; number < pump->config.pipes; number++)
        save_pipe(pump, number, generation);
    save_pump(pump, generation);
    pump->is_saved = 1;
    set_generation(pump, generation);
}

void checkpoint_pipe(struct pump *pump, uint32_t number)
{
    const uint64_t generation = pump->generation + 1;
    save_pipe(pump, number, generation);
    if (!pump->is_saved)
        save_dealt(pump, generation, number);
    set_generation(pump, generation);
}

/* Of two. Returns which is valid, or -1. One that was not made known is none any more. */
static int newest(uint64_t *first, uint64_t *second, uint64_t generation)
{
    if (*first > generation)
        *first = 0;
    if (*second > generation)
        *second = 0;
    return *first || *second ? *second > *first : -1;
}

int checkpoint_restore(struct pump *pump)
{
    struct saved_pump *saved = saved_pumps(pump);
    const int which = newest(&saved[0].generation, &saved[1].generation, pump->generation);
    if (which < 0)
        return -1;
    memcpy((uint8_t *)pump + SAVED_BEGIN, saved[which].bytes, SAVED_BYTES);
    for (uint32_t number = 0; number < pump->config.pipes; number++) {
        struct saved_pipe *of_pipe = saved_pipes(pump, number);
        const int valid = newest(&of_pipe[0].generation, &of_pipe[1].generation, pump->generation);
        if (valid < 0)
            return -1;
        pump->pipe[number] = of_pipe[valid].pipe;
        if (spill_is_on(&pump->config))
            *spill_of(pump, number) = of_pipe[valid].spill;
    }
    return 0;
}
