/* A frame header is read as a plain reading of RFC 6455 section 5.2 has it, from no more than its own bytes. */
#include "input.h"
#include "ws_frame.h"

/* The plain reading: every bit by itself, all at leisure. */
static int read_plainly(const uint8_t *bytes, size_t available, uint64_t *payload_bytes)
{
    const int is_control = bytes[0] & 8;
    const int length = bytes[1] & 127;
    if (available < 2)
        return 0;
    if (bytes[0] & 64 || bytes[0] & 32 || bytes[0] & 16)
        return PUMP_ERR_FRAME_RSV;
    if ((bytes[0] & 7) > 2)
        return PUMP_ERR_FRAME_OPCODE;
    if (bytes[1] & 128)
        return PUMP_ERR_FRAME_MASKED;
    if (is_control && (length > 125 || !(bytes[0] & 128)))
        return PUMP_ERR_FRAME_CONTROL;
    const size_t extra = length < 126 ? 0 : length == 126 ? 2 : 8;
    if (available < 2 + extra)
        return 0;
    *payload_bytes = extra ? 0 : (uint64_t)length;
    for (size_t i = 0; i < extra; i++)
        *payload_bytes = *payload_bytes << 8 | bytes[2 + i];
    const uint64_t least = extra == 0 ? 0 : extra == 2 ? 126 : 65536;
    return *payload_bytes < least || *payload_bytes >> 63 ? PUMP_ERR_FRAME_LENGTH : (int)(2 + extra);
}

static void compare(const uint8_t *bytes, size_t size)
{
    for (size_t available = 0; available <= size && available <= 12; available++) {
        struct ws_frame frame = {0};
        uint64_t payload_bytes = 0;
        const uint8_t two[2] = {available > 0 ? bytes[0] : 0, available > 1 ? bytes[1] : 0};
        const int wanted = read_plainly(available < 2 ? two : bytes, available, &payload_bytes);
        const int got = ws_frame_parse(guarded(bytes, available, 0), available, &frame);
        REQUIRE(got == wanted);
        if (got > 0) {
            REQUIRE((size_t)got <= available && got <= WS_FRAME_HEADER_MAX);
            REQUIRE(frame.payload_bytes == payload_bytes);
            REQUIRE(frame.opcode == (bytes[0] & 15) && frame.fin == bytes[0] >> 7);
            REQUIRE(!!ws_opcode_is_control(frame.opcode) == (frame.opcode >= 8));
        }
    }
}

static void compare_all_first_bytes(void)
{
    static const uint8_t lengths[][8] = {
        {0, 0, 0, 0, 0, 0, 0, 0},       {0, 125, 0, 0, 0, 0, 0, 0},     {0, 126, 0, 0, 0, 0, 0, 0},
        {0, 0, 0, 0, 0, 0, 255, 255},   {0, 0, 0, 0, 0, 1, 0, 0},       {255, 255, 0, 0, 0, 0, 0, 0},
        {127, 255, 255, 255, 255, 255, 255, 255}, {128, 0, 0, 0, 0, 0, 0, 0}, {255, 255, 255, 255, 255, 255, 255, 255},
    };
    for (unsigned first = 0; first < 65536; first++)
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            uint8_t header[10] = {(uint8_t)(first >> 8), (uint8_t)first};
            memcpy(header + 2, lengths[i], 8);
            compare(header, sizeof header);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int has_compared_all;
    if (!has_compared_all++)
        compare_all_first_bytes();
    compare(data, size);
    return 0;
}
