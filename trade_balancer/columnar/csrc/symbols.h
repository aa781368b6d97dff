/* The symbols seen so far, and their codes: 0 for the empty symbol, then in the order of their coming.
 *
 * What is written is never changed: texts stand one behind the other in a store that Arrow arrays share. Where a store gets full, a larger
 * one takes its place, and the old one lives for as long as somebody refers to it. */
#ifndef SYMBOLS_H
#define SYMBOLS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "text.h"

enum {
    SYMBOLS_SHORT_BYTES = 16, /* a symbol of at most so many is hashed and compared without a loop */
    SYMBOLS_NONE = 0          /* the code of the empty symbol */
};

/* The texts as Arrow wants them: UTF-8, and where each begins (one offset more than symbols). */
struct symbol_store {
    uint32_t references; /* atomic */
    uint32_t capacity;
    size_t bytes_capacity;
    int32_t *offsets;
    uint8_t *bytes;
};

/* The code and some bits of the hash: 0 where the slot is free, since the empty symbol needs none. */
typedef uint32_t symbol_slot;

enum { SYMBOL_CODE_BITS = 24, SYMBOLS_MAX = 1 << SYMBOL_CODE_BITS };

struct symbols {
    symbol_slot *slots;
    uint32_t slot_mask;
    uint32_t count;
    struct symbol_store *store;
};

/* Both return 0, or -1 where there is no memory. */
int symbols_init(struct symbols *symbols);
void symbols_free(struct symbols *symbols);

/* Returns the symbol's code, a new one if need be, or -1 where there is no memory. */
int64_t symbols_intern(struct symbols *symbols, const uint8_t *text, size_t length);

/* Returns the code of a symbol that was seen before, or -1. Any length, any surroundings. */
int64_t symbols_find(const struct symbols *symbols, const uint8_t *text, size_t length);

void symbol_store_retain(struct symbol_store *store);
void symbol_store_release(struct symbol_store *store);

/* The hash of a short symbol's 16 bytes, zeros behind its end. */
static inline uint64_t symbols_hash(uint64_t low, uint64_t high)
{
    const uint64_t mixed = (low ^ (high * UINT64_C(0x9E3779B97F4A7C15))) * UINT64_C(0xD6E8FEB86659FD93);
    return mixed ^ mixed >> 32;
}

static inline uint64_t symbols_keep(uint64_t word, size_t length)
{
    return length >= 8 ? word : word & ((UINT64_C(1) << 8 * length) - 1);
}

static inline symbol_slot symbol_slot_of(uint64_t hash, uint32_t code)
{
    return (uint32_t)(hash >> 56) << SYMBOL_CODE_BITS | code;
}

/* symbols_find() for at most SYMBOLS_SHORT_BYTES, with as many readable at `text`. */
static inline int64_t symbols_find_short(const struct symbols *symbols, const uint8_t *text, size_t length)
{
    const uint64_t low = symbols_keep(load_64(text), length);
    const uint64_t high = length > 8 ? symbols_keep(load_64(text + 8), length - 8) : 0;
    const uint64_t hash = symbols_hash(low, high);
    const struct symbol_store *store = symbols->store;
    for (uint32_t at = (uint32_t)hash;; at++) {
        const symbol_slot slot = symbols->slots[at & symbols->slot_mask];
        const uint32_t code = slot % SYMBOLS_MAX;
        if (code == 0)
            return length == 0 ? SYMBOLS_NONE : -1;
        if (slot != symbol_slot_of(hash, code))
            continue;
        const int32_t begin = store->offsets[code];
        const uint8_t *other = store->bytes + begin;
        const uint64_t other_high = length > 8 ? symbols_keep(load_64(other + 8), length - 8) : 0;
        if ((size_t)(store->offsets[code + 1] - begin) == length && symbols_keep(load_64(other), length) == low && other_high == high)
            return code;
    }
}

#endif
