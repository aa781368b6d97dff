/* Kraken's checksum of a book (its guide "Book checksum (v2)"): CRC-32 over its best ten asks, then its best ten bids, each as the digits of
 * price and size at the venue's own decimals, without the point and without leading zeros. */
#ifndef CHECKSUM_H
#define CHECKSUM_H

#include "ladder.h"

struct checksum {
    uint32_t table[256];
};

void checksum_init(struct checksum *checksum);

/* CRC-32 as of ISO 3309 (zlib's); `crc` is that of the bytes before, 0 for none. */
uint32_t checksum_crc32(const struct checksum *checksum, uint32_t crc, const uint8_t *bytes, size_t length);

/* The levels have shift[0] decimals of price and shift[1] of size more than the venue writes. */
uint32_t checksum_of(const struct checksum *checksum, const struct ladder *bids, const struct ladder *asks, const uint8_t shift[2]);

#endif
