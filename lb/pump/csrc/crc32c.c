#include "crc32c.h"
#include "vectors.h"

#include <string.h>

uint32_t crc32c_portable(const uint8_t *bytes, size_t length)
{
    static const uint32_t of_nibble[16] = { /* of the polynomial, bits reversed: 0x82F63B78 */
        0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3, 0x61C69362, 0x7198540D,
        0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9, 0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75,
    };
    uint32_t crc = UINT32_MAX;
    for (size_t at = 0; at < length; at++) {
        crc = crc >> 4 ^ of_nibble[(crc ^ bytes[at]) & 15];
        crc = crc >> 4 ^ of_nibble[(crc ^ bytes[at] >> 4) & 15];
    }
    return ~crc;
}

#if VECTORS_X86
#include <immintrin.h>

__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(const uint8_t *bytes, size_t length)
{
    uint64_t crc = UINT32_MAX;
    size_t at = 0;
    for (; at + sizeof(uint64_t) <= length; at += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, bytes + at, sizeof word);
        crc = _mm_crc32_u64(crc, word);
    }
    uint32_t rest = (uint32_t)crc;
    for (; at < length; at++)
        rest = _mm_crc32_u8(rest, bytes[at]);
    return ~rest;
}

uint32_t crc32c(const uint8_t *bytes, size_t length)
{
    return __builtin_cpu_supports("sse4.2") ? crc32c_sse42(bytes, length) : crc32c_portable(bytes, length);
}
#else
uint32_t crc32c(const uint8_t *bytes, size_t length)
{
    return crc32c_portable(bytes, length);
}
#endif
