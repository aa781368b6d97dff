/* A venue's books by the names that its messages say. */
#ifndef NAMES_H
#define NAMES_H

#include "book.h"

struct names {
    struct book **slot;
    uint32_t capacity, count; /* a power of two, at most half of it used */
};

struct book *names_find(const struct names *names, const uint8_t *name, size_t bytes, uint32_t source);

/* Returns 0, or -1 where there is no memory. The name is not there yet. */
int names_add(struct names *names, struct book *book);
void names_remove(struct names *names, const struct book *book);
void names_free(struct names *names);

#endif
