/* Law: reads the caller's bytes, makes no system call, allocates nothing, keeps nothing. */
#ifndef SHARD_H
#define SHARD_H

#include <stddef.h>
#include <stdint.h>

#define SHARD_BASIS UINT64_C(0xcbf29ce484222325)
#define SHARD_PRIME UINT64_C(0x100000001b3)

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

/* The pipe, 0 to pipes - 1, of a shard key: the upper half of its FNV-1a 64, modulo the number of pipes, as trade-balancer's C
 * program has it, so that a symbol stays on the pipe its users know. (draft-eastlake-fnv: offset basis and prime.) */
static inline uint32_t shard_of(const uint8_t *key, size_t key_bytes, uint32_t pipes)
{
    return shard_pipe(shard_hash(key, key_bytes), pipes);
}

#endif
