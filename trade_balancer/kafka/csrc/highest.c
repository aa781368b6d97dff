#include "highest.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_LEAST = 1024, TEXT_LEAST_BYTES = 1 << 16 };

void highest_forget(struct highest *highest)
{
    if (highest->count)
        memset(highest->table, 0, highest->table_room * sizeof *highest->table);
    highest->count = 0;
    highest->text_bytes = 0;
}

void highest_close(struct highest *highest)
{
    free(highest->text);
    free(highest->pairs);
    free(highest->table);
    *highest = (struct highest){0};
}

static uint32_t hash_of(uint32_t hash, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) /* FNV-1a */
        hash = (hash ^ bytes[i]) * 16777619u;
    return hash;
}

static uint32_t *slot_of(const struct highest *highest, const struct highest_pair *pair, const uint8_t *source, const uint8_t *key)
{
    const uint32_t mask = highest->table_room - 1;
    uint32_t slot = (pair->hash ^ pair->hash >> 15) & mask;
    for (; highest->table[slot]; slot = (slot + 1) & mask) {
        const struct highest_pair *found = &highest->pairs[highest->table[slot] - 1];
        const uint8_t *text = highest->text + found->text_offset;
        if (found->hash == pair->hash && found->source_bytes == pair->source_bytes && found->key_bytes == pair->key_bytes &&
            memcmp(text, source, pair->source_bytes) == 0 && memcmp(text + pair->source_bytes, key, pair->key_bytes) == 0)
            break;
    }
    return &highest->table[slot];
}

/* Twice as large. The pairs are all different: where each goes is the first place that is free. */
static bool widen(struct highest *highest)
{
    const uint32_t room = highest->table_room ? 2 * highest->table_room : TABLE_LEAST;
    uint32_t *table = calloc(room, sizeof *table);
    struct highest_pair *pairs = realloc(highest->pairs, room / 2 * sizeof *pairs);
    if (pairs)
        highest->pairs = pairs;
    if (!table || !pairs) {
        free(table);
        return false;
    }
    free(highest->table);
    highest->table = table;
    highest->table_room = room;
    highest->pairs_room = room / 2;
    for (uint32_t i = 0; i < highest->count; i++) {
        uint32_t slot = (pairs[i].hash ^ pairs[i].hash >> 15) & (room - 1);
        while (table[slot])
            slot = (slot + 1) & (room - 1);
        table[slot] = i + 1;
    }
    return true;
}

static bool make_room(struct highest *highest, size_t bytes)
{
    if (highest->count == highest->pairs_room && !widen(highest))
        return false;
    if (highest->text && bytes <= highest->text_room - highest->text_bytes)
        return true;
    const size_t room = 2 * highest->text_room + bytes + TEXT_LEAST_BYTES;
    uint8_t *text = realloc(highest->text, room);
    if (!text)
        return false;
    highest->text = text;
    highest->text_room = room;
    return true;
}

uint64_t *highest_next(struct highest *highest, const uint8_t *source, size_t source_bytes, const uint8_t *key, size_t key_bytes)
{
    if (highest->count == HIGHEST_PAIRS_MAX || highest->text_bytes > HIGHEST_TEXT_MAX_BYTES)
        highest_forget(highest);
    if (!make_room(highest, source_bytes + key_bytes))
        return NULL;
    struct highest_pair pair = {
        .text_offset = highest->text_bytes,
        .source_bytes = (uint32_t)source_bytes,
        .key_bytes = (uint32_t)key_bytes,
        .hash = hash_of(hash_of(2166136261u, source, source_bytes), key, key_bytes),
    };
    uint32_t *slot = slot_of(highest, &pair, source, key);
    if (*slot == 0) {
        memcpy(highest->text + highest->text_bytes, source, source_bytes);
        memcpy(highest->text + highest->text_bytes + source_bytes, key, key_bytes);
        highest->text_bytes += source_bytes + key_bytes;
        highest->pairs[highest->count] = pair;
        *slot = ++highest->count;
    }
    return &highest->pairs[*slot - 1].next;
}
