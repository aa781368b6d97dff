#include "ws_frame.h"

enum {
    RSV_BITS = 0x70,
    OPCODE_BITS = 0x0F,
    MASK_BIT = 0x80,
    LENGTH_BITS = 0x7F,
    LENGTH_IS_64_BIT = 127
};

/* Returns the header's length, 0 when more bytes are needed, or PUMP_ERR_FRAME_LENGTH. */
static int parse_length(const uint8_t *bytes, size_t available, uint64_t *payload_bytes)
{
    uint8_t short_length = bytes[1] & LENGTH_BITS;
    if (short_length < WS_LENGTH_IS_16_BIT) {
        *payload_bytes = short_length;
        return 2;
    }
    if (short_length == WS_LENGTH_IS_16_BIT) {
        uint16_t wire;
        if (available < 4)
            return 0;
        memcpy(&wire, bytes + 2, sizeof wire);
        *payload_bytes = be16toh(wire);
        return *payload_bytes < WS_LENGTH_IS_16_BIT ? PUMP_ERR_FRAME_LENGTH : 4;
    }
    uint64_t wire;
    if (available < 10)
        return 0;
    memcpy(&wire, bytes + 2, sizeof wire);
    *payload_bytes = be64toh(wire);
    return *payload_bytes <= UINT16_MAX || *payload_bytes >> 63 ? PUMP_ERR_FRAME_LENGTH : 10;
}

static int opcode_is_known(uint8_t opcode)
{
    return opcode <= WS_BINARY || (opcode >= WS_CLOSE && opcode <= WS_PONG);
}

int ws_frame_parse(const uint8_t *bytes, size_t available, struct ws_frame *frame)
{
    if (available < 2)
        return 0;
    frame->fin = (bytes[0] & WS_FIN_BIT) != 0;
    frame->opcode = bytes[0] & OPCODE_BITS;
    if (bytes[0] & RSV_BITS)
        return PUMP_ERR_FRAME_RSV;
    if (!opcode_is_known(frame->opcode))
        return PUMP_ERR_FRAME_OPCODE;
    if (bytes[1] & MASK_BIT)
        return PUMP_ERR_FRAME_MASKED;
    if (ws_opcode_is_control(frame->opcode) && (!frame->fin || (bytes[1] & LENGTH_BITS) > WS_CONTROL_PAYLOAD_MAX))
        return PUMP_ERR_FRAME_CONTROL;
    return parse_length(bytes, available, &frame->payload_bytes);
}
