#include "checksum.h"

enum { CHECKED_LEVELS = 10, DIGITS_MAX = 20 };

void checksum_init(struct checksum *checksum)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? UINT32_C(0xEDB88320) ^ (crc >> 1) : crc >> 1;
        checksum->table[byte] = crc;
    }
}

uint32_t checksum_crc32(const struct checksum *checksum, uint32_t crc, const uint8_t *bytes, size_t length)
{
    crc = ~crc;
    for (size_t i = 0; i < length; i++)
        crc = checksum->table[(crc ^ bytes[i]) & 0xFF] ^ (crc >> 8);
    return ~crc;
}

static size_t digits_of(uint64_t value, uint8_t *to)
{
    uint8_t backwards[DIGITS_MAX];
    size_t count = 0;
    for (; value; value /= 10)
        backwards[count++] = (uint8_t)('0' + value % 10);
    for (size_t i = 0; i < count; i++)
        to[i] = backwards[count - 1 - i];
    return count;
}

static uint64_t shifted(int64_t value, uint8_t shift)
{
    uint64_t rest = (uint64_t)value;
    while (shift--)
        rest /= 10;
    return rest;
}

static uint32_t add_side(const struct checksum *checksum, uint32_t crc, const struct ladder *ladder, const uint8_t shift[2])
{
    uint8_t digits[2 * DIGITS_MAX];
    const uint32_t count = ladder_count(ladder);
    for (uint32_t place = 0; place < count && place < CHECKED_LEVELS; place++) {
        const level *checked = ladder_at(ladder, place);
        size_t used = digits_of(shifted(checked->price, shift[0]), digits);
        used += digits_of(shifted(checked->size, shift[1]), digits + used);
        crc = checksum_crc32(checksum, crc, digits, used);
    }
    return crc;
}

uint32_t checksum_of(const struct checksum *checksum, const struct ladder *bids, const struct ladder *asks, const uint8_t shift[2])
{
    return add_side(checksum, add_side(checksum, 0, asks, shift), bids, shift);
}
