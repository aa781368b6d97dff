/* Differences that came before their snapshot: the messages as they are, one behind the other, in bounded memory. */
#ifndef KEPT_H
#define KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEPT_MAX_BYTES = 1 << 20 /* of one book */, KEPT_ALL_MAX_BYTES = 64 << 20 /* of all books together */ };

struct kept {
    uint8_t *bytes;
    size_t used, capacity;
    uint64_t first_id, last_id; /* where used > 0: the first one's first id, the last one's last */
};

/* Returns 0, or -1 where there is no room: the bound is reached, or the machine's memory. `all_bytes` is what all books keep. */
int kept_add(struct kept *kept, size_t *all_bytes, const uint8_t *message, size_t bytes);

/* The next message from *at on (which begins with 0), NULL behind the last one. */
const uint8_t *kept_next(const struct kept *kept, size_t *at, size_t *bytes);

/* Forgets all and gives its memory back. */
void kept_free(struct kept *kept, size_t *all_bytes);

#endif
