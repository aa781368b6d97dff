/* Law: reads the caller's bytes, makes no system call, allocates nothing, keeps nothing.
 *
 * The pipe of a shard key: the upper half of its FNV-1a 64, modulo the number of pipes, as trade-balancer's C
 * program has it, so that a symbol stays on the pipe its users know. (draft-eastlake-fnv: offset basis and prime.) */
#ifndef SHARD_H
#define SHARD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SHARD_BASIS UINT64_C(0xcbf29ce484222325)
#define SHARD_PRIME UINT64_C(0x100000001b3)

enum { SHARD_SHORT_BYTES = 5, SHARD_KEY_MAX_BYTES = 32 };

static inline uint64_t shard_step(uint64_t hash, uint8_t byte)
{
    return (hash ^ byte) * SHARD_PRIME;
}

static inline uint64_t shard_hash(const uint8_t *key, size_t key_bytes)
{
    uint64_t hash = SHARD_BASIS;
    for (size_t i = 0; i < key_bytes; i++)
        hash = shard_step(hash, key[i]);
    return hash;
}

static inline uint32_t shard_pipe(uint64_t hash, uint32_t pipes)
{
    return (uint32_t)(hash >> 32) % pipes;
}

/* Returns a pipe, 0 to pipes - 1. */
static inline uint32_t shard_of(const uint8_t *key, size_t key_bytes, uint32_t pipes)
{
    return shard_pipe(shard_hash(key, key_bytes), pipes);
}

/* The length of a key of at most five bytes before `end`; of any other, six. Reads eight bytes. */
static inline __attribute__((always_inline)) size_t shard_short_bytes(uint64_t key, uint8_t end)
{
    const uint64_t ones = UINT64_C(0x010101010101), tops = ones << 7;
    const uint64_t others = key ^ ones * end; /* a zero byte where `end` is: Mycroft's test finds the first exactly */
    const uint64_t found = (others - ones) & ~others & tops;
    return (size_t)__builtin_ctzll(found | UINT64_C(1) << 55) / 8;
}

/* shard_hash() of a key up to the byte `end`. Returns 1 with the hash, or 0 for an overlong key. Symbols differ in
 * length from record to record: a loop to their end would be mispredicted at most of them. Reads SHARD_KEY_MAX_BYTES
 * at most. */
static inline __attribute__((always_inline)) int shard_hash_until(const uint8_t *key, uint8_t end, uint64_t *hash)
{
    static const uint64_t primes[SHARD_SHORT_BYTES + 2][SHARD_SHORT_BYTES] = {
        {1, 1, 1, 1, 1},
        {SHARD_PRIME, 1, 1, 1, 1},
        {SHARD_PRIME, SHARD_PRIME, 1, 1, 1},
        {SHARD_PRIME, SHARD_PRIME, SHARD_PRIME, 1, 1},
        {SHARD_PRIME, SHARD_PRIME, SHARD_PRIME, SHARD_PRIME, 1},
        {SHARD_PRIME, SHARD_PRIME, SHARD_PRIME, SHARD_PRIME, SHARD_PRIME},
        {SHARD_PRIME, SHARD_PRIME, SHARD_PRIME, SHARD_PRIME, SHARD_PRIME},
    };
    uint64_t loaded;
    memcpy(&loaded, key, sizeof loaded);
    const size_t length = shard_short_bytes(loaded, end);
    const uint64_t bytes = loaded & ((UINT64_C(1) << 8 * length) - 1);
    *hash = SHARD_BASIS;
    for (size_t i = 0; i < SHARD_SHORT_BYTES; i++) /* behind the key: ^ 0 * 1 */
        *hash = (*hash ^ (bytes >> 8 * i & 0xFF)) * primes[length][i];
    if (length <= SHARD_SHORT_BYTES)
        return 1;
    for (size_t i = SHARD_SHORT_BYTES; i < SHARD_KEY_MAX_BYTES; i++) {
        if (key[i] == end)
            return 1;
        *hash = shard_step(*hash, key[i]);
    }
    return 0;
}

#endif
