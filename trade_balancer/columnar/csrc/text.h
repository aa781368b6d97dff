/* Numbers out of bytes that stand anywhere. */
#ifndef TEXT_H
#define TEXT_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

/* The first byte is the lowest. */
static inline uint64_t load_64(const uint8_t *bytes)
{
    uint64_t number;
    memcpy(&number, bytes, sizeof number);
    return le64toh(number);
}

static inline uint32_t load_32(const uint8_t *bytes)
{
    uint32_t number;
    memcpy(&number, bytes, sizeof number);
    return le32toh(number);
}

#endif
