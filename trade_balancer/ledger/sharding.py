"""Which shard an account is of: always the same one, for as long as the ledger lives."""

from __future__ import annotations

from enum import StrEnum


class Hash(StrEnum):
    """FNV1A: as `lb --route key=account` has it, so that shard k's records stand on pipe k. MURMUR2: as Kafka's clients
    have it, so that they stand in partition k."""

    FNV1A = "fnv1a"
    MURMUR2 = "murmur2"


def shard_of(account: str, shards: int, how: Hash) -> int:
    key = account.encode()
    return (fnv1a(key) >> 32 if how is Hash.FNV1A else murmur2(key) & 0x7FFFFFFF) % shards


def fnv1a(key: bytes) -> int:
    """The hash of draft-eastlake-fnv, of 64 bits (lb/pump/csrc/shard.h)."""
    value = 0xCBF29CE484222325
    for byte in key:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def murmur2(key: bytes) -> int:
    """MurmurHash2 of 32 bits with Kafka's seed (org.apache.kafka.common.utils.Utils)."""
    factor, mask = 0x5BD1E995, 0xFFFFFFFF
    value = 0x9747B28C ^ len(key)
    whole = len(key) & ~3
    for at in range(0, whole, 4):
        word = int.from_bytes(key[at : at + 4], "little") * factor & mask
        word = (word ^ word >> 24) * factor & mask
        value = value * factor & mask ^ word
    if rest := key[whole:]:
        value = (value ^ int.from_bytes(rest, "little")) * factor & mask
    value = (value ^ value >> 13) * factor & mask
    return value ^ value >> 15
