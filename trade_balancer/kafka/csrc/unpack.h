/* From messages of a topic to frames, as a pipe has them: each record behind its length.
 *
 * Law: what lb-kafka has packed comes out record by record; what it has sent again, under a number that is not above the highest of its source
 * and key, does not come out. A message of anybody else's is a record as it is. */
#ifndef UNPACK_H
#define UNPACK_H

#include <stddef.h>
#include <stdint.h>

#include "highest.h"

struct message {
    const uint8_t *value, *key, *told; /* the header `lb`: SOURCE/NUMBER+STEP+STEP...; null where there is none */
    size_t value_bytes, key_bytes, told_bytes;
};

struct frames {
    uint8_t *bytes;
    size_t count, room;
    uint64_t records_total, again_total;
};

/* Appends the message's records. Returns 0, or -1 for want of memory. */
int unpack(struct frames *frames, struct highest *highest, const struct message *message);

#endif
