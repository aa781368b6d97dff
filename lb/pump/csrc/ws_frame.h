/* Law: reads the caller's bytes, makes no system call, allocates nothing, keeps nothing. RFC 6455 section 5.2. */
#ifndef WS_FRAME_H
#define WS_FRAME_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "pump_rc.h"

enum {
    WS_FRAME_HEADER_MAX = 10, /* 2 bytes + 64-bit length; a server sends no mask */
    WS_CONTROL_PAYLOAD_MAX = 125,
    WS_FIN_BIT = 0x80,
    WS_LENGTH_IS_16_BIT = 126
};

enum ws_opcode {
    WS_CONTINUATION = 0x0,
    WS_TEXT = 0x1,
    WS_BINARY = 0x2,
    WS_CLOSE = 0x8,
    WS_PING = 0x9,
    WS_PONG = 0xA
};

struct ws_frame {
    uint64_t payload_bytes;
    uint8_t opcode;
    uint8_t fin;
};

static inline int ws_opcode_is_control(uint8_t opcode)
{
    return (opcode & 0x8) != 0;
}

/* Reads a server's frame header. Returns its length in bytes (2, 4 or 10), 0 when more bytes are needed, or an
 * error. */
int ws_frame_parse(const uint8_t *bytes, size_t available, struct ws_frame *frame);

/* Whether the bytes begin with a message of text in one frame, received whole. Returns the length of its header, or
 * 0. */
static inline size_t ws_whole_text(const uint8_t *bytes, size_t available, size_t *payload_bytes)
{
    uint16_t wire;
    size_t header = 2;
    if (available < header + sizeof wire || bytes[0] != (WS_FIN_BIT | WS_TEXT))
        return 0;
    *payload_bytes = bytes[1];
    if (*payload_bytes == WS_LENGTH_IS_16_BIT) {
        header += sizeof wire;
        memcpy(&wire, bytes + 2, sizeof wire);
        *payload_bytes = be16toh(wire);
        if (*payload_bytes < WS_LENGTH_IS_16_BIT)
            return 0;
    } else if (*payload_bytes > WS_LENGTH_IS_16_BIT) {
        return 0;
    }
    return available - header < *payload_bytes ? 0 : header;
}

#endif
