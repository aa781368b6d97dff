#include "names.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 16 };

/* FNV-1a: names are a few bytes. */
static uint32_t hash_of(const uint8_t *name, size_t bytes, uint32_t source)
{
    uint32_t hash = UINT32_C(2166136261) ^ source;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ name[i]) * UINT32_C(16777619);
    return hash;
}

struct book *names_find(const struct names *names, const uint8_t *name, size_t bytes, uint32_t source)
{
    if (names->count == 0)
        return NULL;
    for (uint32_t at = hash_of(name, bytes, source);; at++) {
        struct book *book = names->slot[at & (names->capacity - 1)];
        if (!book || (book->name_bytes == bytes && book->source == source && memcmp(book->name, name, bytes) == 0))
            return book;
    }
}

static void put(struct names *names, struct book *book)
{
    uint32_t at = hash_of(book->name, book->name_bytes, book->source);
    while (names->slot[at & (names->capacity - 1)])
        at++;
    names->slot[at & (names->capacity - 1)] = book;
    names->count++;
}

/* All of them into a table of that many slots. */
static int rebuild(struct names *names, uint32_t capacity)
{
    struct names rebuilt = {calloc(capacity, sizeof *rebuilt.slot), capacity, 0};
    if (!rebuilt.slot)
        return -1;
    for (uint32_t i = 0; i < names->capacity; i++)
        if (names->slot[i])
            put(&rebuilt, names->slot[i]);
    free(names->slot);
    *names = rebuilt;
    return 0;
}

int names_add(struct names *names, struct book *book)
{
    if ((names->count + 1) * 2 > names->capacity && rebuild(names, names->capacity ? names->capacity * 2 : FIRST_CAPACITY))
        return -1;
    put(names, book);
    return 0;
}

/* Those behind it move up, so that none is behind an empty slot. */
void names_remove(struct names *names, const struct book *book)
{
    const uint32_t mask = names->capacity - 1;
    uint32_t at = hash_of(book->name, book->name_bytes, book->source);
    while (names->slot[at & mask] != book)
        at++;
    names->slot[at++ & mask] = NULL;
    names->count--;
    for (struct book *moved; (moved = names->slot[at & mask]); at++) {
        names->slot[at & mask] = NULL;
        names->count--;
        put(names, moved);
    }
}

void names_free(struct names *names)
{
    free(names->slot);
    *names = (struct names){0};
}
