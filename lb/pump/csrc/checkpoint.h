/* What is known of the pump as of the last moment at which all of it fitted together. A process can be killed between any two
 * instructions; who adopts its mapping begins from there.
 *
 * Law: before a system call takes bytes or gives them away, and before bytes are overwritten that the last checkpoint names, there
 * is a new one. What happens behind it is either done once more, or told by the kernel: see adopt.c. */
#ifndef CHECKPOINT_H
#define CHECKPOINT_H

#include "spill_state.h"

#include <stddef.h>

enum { SAVED_BEGIN = offsetof(struct pump, counters), SAVED_BYTES = offsetof(struct pump, flat) - SAVED_BEGIN };

struct saved_pump {
    _Alignas(64) uint64_t generation;
    uint8_t bytes[SAVED_BYTES];
};

struct saved_pipe {
    _Alignas(64) uint64_t generation;
    struct spill spill;
    struct pump_pipe pipe;
};

/* How many bytes of the mapping they take. */
uint64_t checkpoint_bytes(const struct pump_config *config);

/* Saves the pump and the pipes that were dealt to. */
void checkpoint(struct pump *pump);

/* Saves the pump and every pipe. */
void checkpoint_all(struct pump *pump);

/* Saves one pipe, and the others with the pump where they have changed, too. */
void checkpoint_pipe(struct pump *pump, uint32_t pipe);

/* As checkpoint(), where anything has changed since the last one. */
static inline void checkpoint_before_call(struct pump *pump)
{
    if (!pump->is_saved)
        checkpoint(pump);
}

/* Takes the last one. Returns 0, or -1 where there is none. */
int checkpoint_restore(struct pump *pump);

#endif
