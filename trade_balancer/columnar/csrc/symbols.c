#include "symbols.h"

#include <stdlib.h>

enum {
    FIRST_SYMBOLS = 8192,
    FIRST_BYTES = FIRST_SYMBOLS * 8,
    SLOTS_PER_SYMBOL = 4, /* few slots are looked at twice */
    STORE_PAD_BYTES = 16  /* symbols_find_short() reads on behind the last text */
};

static struct symbol_store *store_new(uint32_t capacity, size_t bytes_capacity)
{
    struct symbol_store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    store->references = 1;
    store->capacity = capacity;
    store->bytes_capacity = bytes_capacity;
    store->offsets = calloc((size_t)capacity + 1, sizeof *store->offsets);
    store->bytes = calloc(bytes_capacity + STORE_PAD_BYTES, 1);
    if (store->offsets && store->bytes)
        return store;
    symbol_store_release(store);
    return NULL;
}

void symbol_store_retain(struct symbol_store *store)
{
    __atomic_add_fetch(&store->references, 1, __ATOMIC_RELAXED);
}

void symbol_store_release(struct symbol_store *store)
{
    if (__atomic_sub_fetch(&store->references, 1, __ATOMIC_ACQ_REL))
        return;
    free(store->offsets);
    free(store->bytes);
    free(store);
}

/* Any hash that symbols_find_short() has for a short one. */
static uint64_t hash_of(const uint8_t *text, size_t length)
{
    uint64_t hash = 0;
    if (length == 0)
        return symbols_hash(0, 0);
    for (size_t at = 0; at < length; at += SYMBOLS_SHORT_BYTES) {
        uint8_t block[SYMBOLS_SHORT_BYTES] = {0};
        memcpy(block, text + at, length - at < sizeof block ? length - at : sizeof block);
        hash = symbols_hash(load_64(block) ^ hash, load_64(block + 8));
    }
    return hash;
}

static int is_text(const struct symbol_store *store, uint32_t code, const uint8_t *text, size_t length)
{
    const int32_t begin = store->offsets[code];
    return (size_t)(store->offsets[code + 1] - begin) == length && !memcmp(store->bytes + begin, text, length);
}

/* The slot that has the symbol, or the free one where it belongs. */
static symbol_slot *slot_of(const struct symbols *symbols, const uint8_t *text, size_t length, uint64_t hash)
{
    for (uint32_t at = (uint32_t)hash;; at++) {
        symbol_slot *slot = &symbols->slots[at & symbols->slot_mask];
        const uint32_t code = *slot % SYMBOLS_MAX;
        if (code == 0 || (*slot == symbol_slot_of(hash, code) && is_text(symbols->store, code, text, length)))
            return slot;
    }
}

int symbols_init(struct symbols *symbols)
{
    *symbols = (struct symbols){.slot_mask = FIRST_SYMBOLS * SLOTS_PER_SYMBOL - 1, .count = 1};
    symbols->slots = calloc((size_t)symbols->slot_mask + 1, sizeof *symbols->slots);
    symbols->store = store_new(FIRST_SYMBOLS, FIRST_BYTES);
    if (symbols->slots && symbols->store)
        return 0;
    symbols_free(symbols);
    return -1;
}

void symbols_free(struct symbols *symbols)
{
    free(symbols->slots);
    if (symbols->store)
        symbol_store_release(symbols->store);
    *symbols = (struct symbols){0};
}

static int grow_slots(struct symbols *symbols)
{
    struct symbols larger = *symbols;
    larger.slot_mask = symbols->slot_mask * 2 + 1;
    larger.slots = calloc((size_t)larger.slot_mask + 1, sizeof *larger.slots);
    if (!larger.slots)
        return -1;
    for (uint32_t code = 1; code < symbols->count; code++) {
        const int32_t begin = symbols->store->offsets[code];
        const uint8_t *text = symbols->store->bytes + begin;
        const size_t length = (size_t)(symbols->store->offsets[code + 1] - begin);
        const uint64_t hash = hash_of(text, length);
        *slot_of(&larger, text, length, hash) = symbol_slot_of(hash, code);
    }
    free(symbols->slots);
    *symbols = larger;
    return 0;
}

static int grow_store(struct symbols *symbols, size_t wanted_bytes)
{
    const struct symbol_store *old = symbols->store;
    size_t bytes_capacity = old->bytes_capacity;
    while (bytes_capacity < wanted_bytes)
        bytes_capacity *= 2;
    if (bytes_capacity > INT32_MAX - STORE_PAD_BYTES)
        return -1;
    const uint32_t capacity = symbols->count == old->capacity ? old->capacity * 2 : old->capacity;
    struct symbol_store *larger = store_new(capacity, bytes_capacity);
    if (!larger)
        return -1;
    memcpy(larger->offsets, old->offsets, ((size_t)symbols->count + 1) * sizeof *old->offsets);
    memcpy(larger->bytes, old->bytes, (size_t)old->offsets[symbols->count]);
    symbol_store_release(symbols->store);
    symbols->store = larger;
    return 0;
}

int64_t symbols_intern(struct symbols *symbols, const uint8_t *text, size_t length)
{
    const uint64_t hash = hash_of(text, length);
    const uint32_t found = *slot_of(symbols, text, length, hash) % SYMBOLS_MAX;
    if (found || length == 0)
        return found;
    const size_t used_bytes = (size_t)symbols->store->offsets[symbols->count];
    const uint32_t code = symbols->count;
    if (code == SYMBOLS_MAX)
        return -1;
    if (code == symbols->store->capacity || used_bytes + length > symbols->store->bytes_capacity)
        if (grow_store(symbols, used_bytes + length))
            return -1;
    if (code >= (symbols->slot_mask + 1) / 2 && grow_slots(symbols))
        return -1;
    memcpy(symbols->store->bytes + used_bytes, text, length);
    symbols->store->offsets[code + 1] = (int32_t)(used_bytes + length);
    *slot_of(symbols, text, length, hash) = symbol_slot_of(hash, code);
    symbols->count++;
    return code;
}

int64_t symbols_find(const struct symbols *symbols, const uint8_t *text, size_t length)
{
    const uint32_t code = *slot_of(symbols, text, length, hash_of(text, length)) % SYMBOLS_MAX;
    return code || length == 0 ? (int64_t)code : -1;
}
