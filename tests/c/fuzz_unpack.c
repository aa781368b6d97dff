/* Whatever the messages of a topic are, what comes out is what a few obvious lines make of them, and of each source and key numbers rise.
 *
 * Input: messages, each a byte of flags, the bytes' numbers of the header, the key and the value, and these. */
#include <stdbool.h>

#include "input.h"
#include "unpack.h"

enum { MESSAGES_MAX = 64, VALUE_MAX_BYTES = 255, NUMBERS_MAX = 256, ROOM_BYTES = MESSAGES_MAX * (VALUE_MAX_BYTES + 1) * 5 };

static struct {
    char told[VALUE_MAX_BYTES + 1], key[VALUE_MAX_BYTES + 1]; /* the header up to its last '/', and the key */
    size_t told_bytes, key_bytes;
    unsigned __int128 next;
} pairs[MESSAGES_MAX];
static size_t pair_count;

static uint8_t expected[ROOM_BYTES];
static size_t expected_bytes;
static uint64_t expected_records, expected_again;

static void expect(const uint8_t *record, size_t bytes)
{
    const uint8_t length[] = {(uint8_t)bytes, (uint8_t)(bytes >> 8), 0, 0};
    memcpy(expected + expected_bytes, length, sizeof length);
    memcpy(expected + expected_bytes + sizeof length, record, bytes);
    expected_bytes += sizeof length + bytes;
    expected_records++;
}

static size_t pair_of(const struct message *message, size_t source_bytes)
{
    for (size_t i = 0; i < pair_count; i++)
        if (pairs[i].told_bytes == source_bytes && pairs[i].key_bytes == message->key_bytes &&
            !memcmp(pairs[i].told, message->told, source_bytes) && !memcmp(pairs[i].key, message->key, message->key_bytes))
            return i;
    memcpy(pairs[pair_count].told, message->told, source_bytes);
    memcpy(pairs[pair_count].key, message->key, message->key_bytes);
    pairs[pair_count].told_bytes = source_bytes;
    pairs[pair_count].key_bytes = message->key_bytes;
    pairs[pair_count].next = 0;
    return pair_count++;
}

/* The header's numbers; none where they are not of the form that lb-kafka writes. */
static size_t numbers_of(const char *text, size_t bytes, unsigned __int128 *numbers)
{
    size_t count = 0, digits = 0;
    unsigned __int128 step = 0, number = 0;
    for (size_t i = 0; i <= bytes; i++) {
        if (i < bytes && text[i] >= '0' && text[i] <= '9') {
            digits++;
            step = step * 10 + (unsigned)(text[i] - '0');
        } else if ((i == bytes || text[i] == '+') && digits > 0 && digits <= 19) {
            number += step;
            numbers[count++] = number;
            digits = 0;
            step = 0;
        } else {
            return 0;
        }
        if (digits > 19 || number >= UINT64_MAX)
            return 0;
    }
    return count;
}

static void expect_message(const struct message *message)
{
    unsigned __int128 numbers[NUMBERS_MAX];
    size_t source_bytes = message->told_bytes, count = 0;
    while (source_bytes > 0 && message->told[source_bytes - 1] != '/')
        source_bytes--;
    if (!message->value)
        return;
    if (source_bytes > 0)
        count = numbers_of((const char *)message->told + source_bytes, message->told_bytes - source_bytes, numbers);
    if (count == 0) {
        expect(message->value, message->value_bytes);
        return;
    }
    const size_t pair = pair_of(message, source_bytes);
    const unsigned __int128 next = pairs[pair].next;
    if (numbers[count - 1] >= next)
        pairs[pair].next = numbers[count - 1] + 1;
    size_t begin = 0, line = 0;
    for (size_t end = 0; end <= message->value_bytes; end++) {
        if (end < message->value_bytes && (message->value[end] != '\n' || count == 1))
            continue;
        if (numbers[line < count ? line : count - 1] >= next)
            expect(message->value + begin, end - begin);
        else
            expected_again++;
        begin = end + 1;
        line++;
    }
}

/* A copy that ends where memory ends: each of them has a place of its own. */
static const uint8_t *part(const uint8_t **at, const uint8_t *end, size_t bytes, uint8_t **copy)
{
    if ((size_t)(end - *at) < bytes)
        return NULL;
    *copy = malloc(bytes);
    REQUIRE(*copy || bytes == 0);
    if (bytes)
        memcpy(*copy, *at, bytes);
    *at += bytes;
    return *copy;
}

static bool next_message(const uint8_t **at, const uint8_t *end, struct frames *frames, struct highest *highest)
{
    uint8_t *copies[3] = {0};
    if (end - *at < 4)
        return false;
    const uint8_t flags = (*at)[0], told_bytes = (*at)[1], key_bytes = (*at)[2], value_bytes = (*at)[3];
    *at += 4;
    const uint8_t *told = part(at, end, told_bytes, &copies[0]), *key = told ? part(at, end, key_bytes, &copies[1]) : NULL;
    const uint8_t *value = key ? part(at, end, value_bytes, &copies[2]) : NULL;
    if (value) {
        struct message message = {value, key, told, value_bytes, key_bytes, told_bytes};
        if (flags & 1) {
            message.told = NULL;
            message.told_bytes = 0;
        }
        if (flags & 2) {
            message.value = NULL;
            message.value_bytes = 0;
        }
        expect_message(&message);
        REQUIRE(unpack(frames, highest, &message) == 0);
    }
    for (int i = 0; i < 3; i++)
        free(copies[i]);
    return value != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frames frames = {0};
    struct highest highest = {0};
    const uint8_t *at = data;
    expected_bytes = pair_count = 0;
    expected_records = expected_again = 0;
    for (int i = 0; i < MESSAGES_MAX && next_message(&at, data + size, &frames, &highest); i++) {
    }
    REQUIRE(frames.records_total == expected_records && frames.again_total == expected_again);
    REQUIRE(frames.count == expected_bytes && (expected_bytes == 0 || !memcmp(frames.bytes, expected, expected_bytes)));
    highest_close(&highest);
    free(frames.bytes);
    return 0;
}
