/* Law: what a parser reads ends where memory ends. A byte read behind the input, or one more than the pad it documents, is a crash. */
#ifndef INPUT_H
#define INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { INPUT_MAX_BYTES = 1 << 16, INPUT_PAGE_BYTES = 4096 };

/* Says what is wrong and ends the program, which is what the fuzzer looks for. */
#define REQUIRE(condition)                                                                        \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);               \
            abort();                                                                              \
        }                                                                                         \
    } while (0)

/* A copy of the bytes that ends `pad_bytes` before a page that can't be read. Valid until the next call. */
static inline const uint8_t *guarded(const uint8_t *bytes, size_t length, size_t pad_bytes)
{
    static uint8_t *memory;
    if (!memory) {
        memory = mmap(NULL, INPUT_MAX_BYTES + INPUT_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        REQUIRE(memory != MAP_FAILED);
        REQUIRE(mprotect(memory + INPUT_MAX_BYTES, INPUT_PAGE_BYTES, PROT_NONE) == 0);
    }
    REQUIRE(length + pad_bytes <= INPUT_MAX_BYTES);
    uint8_t *end = memory + INPUT_MAX_BYTES - pad_bytes;
    memset(end, 0xA5, pad_bytes);
    if (length)
        memcpy(end - length, bytes, length);
    return end - length;
}

enum { RECORD_MAX_BYTES = 4096 };

/* What a parser of records gets: the input between braces, so guarded; NULL where that would be too long. */
static inline const uint8_t *guarded_record(const uint8_t *data, size_t size)
{
    uint8_t bytes[RECORD_MAX_BYTES + 2] = {'{'};
    if (size > RECORD_MAX_BYTES)
        return NULL;
    if (size)
        memcpy(bytes + 1, data, size);
    bytes[size + 1] = '}';
    return guarded(bytes, size + 2, 0);
}

/* A different number each time, the same in every run (xorshift). */
static inline uint32_t next_number(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
