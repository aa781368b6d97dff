"""From the handshake's secrets to record keys: TLS 1.3 (RFC 8446 7) and TLS 1.2 (RFC 5246 5, 6.3). Pure, without I/O.

Law: keys and secrets are bytearrays; who creates one wipes it; no repr shows one.
"""

import hashlib
import hmac
from dataclasses import dataclass
from ssl import TLSVersion

from ktls.ciphers import Cipher
from ktls.memory import wipe


@dataclass(frozen=True, repr=False)
class TrafficKeys:
    """What protects the records of one direction."""

    key: bytearray
    iv: bytearray
    """The fixed part of each record's nonce: 4 bytes (GCM under TLS 1.2) or 12."""

    def wipe(self) -> None:
        """Overwrite both."""
        wipe(self.key)
        wipe(self.iv)

    def __repr__(self) -> str:
        return "TrafficKeys(hidden)"


def hkdf_expand(secret: bytes | bytearray, info: bytes, length_bytes: int, hash_name: str) -> bytearray:
    """HKDF-Expand (RFC 5869 2.3)."""
    out, block, counter = bytearray(), b"", 1
    while len(out) < length_bytes:
        block = hmac.digest(secret, block + info + bytes([counter]), hash_name)
        out += block
        counter += 1
    return _cut(out, length_bytes)


def hkdf_expand_label(
    secret: bytes | bytearray, label: str, context: bytes, length_bytes: int, hash_name: str
) -> bytearray:
    """HKDF-Expand-Label (RFC 8446 7.1)."""
    full_label = b"tls13 " + label.encode("ascii")
    info = length_bytes.to_bytes(2) + bytes([len(full_label)]) + full_label + bytes([len(context)]) + context
    return hkdf_expand(secret, info, length_bytes, hash_name)


class TrafficSecret:
    """One direction's application traffic secret of TLS 1.3; it yields keys, and advances at a key update."""

    def __init__(self, secret: bytearray, cipher: Cipher) -> None:
        self._secret = secret
        self._cipher = cipher

    def keys(self) -> TrafficKeys:
        """The record keys of this generation (RFC 8446 7.3). The caller wipes them."""
        cipher = self._cipher
        return TrafficKeys(
            hkdf_expand_label(self._secret, "key", b"", cipher.key_bytes, cipher.hash_name),
            hkdf_expand_label(self._secret, "iv", b"", cipher.iv_bytes(TLSVersion.TLSv1_3), cipher.hash_name),
        )

    def advance(self) -> None:
        """Become the next generation (RFC 8446 7.2); the old one is wiped."""
        old = self._secret
        self._secret = hkdf_expand_label(old, "traffic upd", b"", len(old), self._cipher.hash_name)
        wipe(old)

    def reveal(self) -> bytes:
        """The secret of this generation."""
        return bytes(self._secret)

    def wipe(self) -> None:
        """Overwrite the secret; no keys can be had afterwards."""
        wipe(self._secret)
        self._secret = bytearray()

    def __repr__(self) -> str:
        return "TrafficSecret(hidden)"


def prf_1_2(secret: bytes | bytearray, label: bytes, seed: bytes, length_bytes: int, hash_name: str) -> bytearray:
    """The pseudo-random function of TLS 1.2 (RFC 5246 5): P_hash over label and seed."""
    seed = label + seed
    out, chained = bytearray(), seed
    while len(out) < length_bytes:
        chained = hmac.digest(secret, chained, hash_name)
        out += hmac.digest(secret, chained + seed, hash_name)
    return _cut(out, length_bytes)


def key_block_1_2(
    master_secret: bytearray, client_random: bytes, server_random: bytes, cipher: Cipher
) -> tuple[TrafficKeys, TrafficKeys]:
    """The record keys that the client and the server write with under TLS 1.2 (RFC 5246 6.3; no MAC keys: AEAD)."""
    key_bytes, iv_bytes = cipher.key_bytes, cipher.iv_bytes(TLSVersion.TLSv1_2)
    block = prf_1_2(
        master_secret, b"key expansion", server_random + client_random, 2 * (key_bytes + iv_bytes), cipher.hash_name
    )
    client_key, server_key = block[:key_bytes], block[key_bytes : 2 * key_bytes]
    ivs = 2 * key_bytes
    client_iv, server_iv = block[ivs : ivs + iv_bytes], block[ivs + iv_bytes :]
    wipe(block)
    return TrafficKeys(client_key, client_iv), TrafficKeys(server_key, server_iv)


def hash_bytes(cipher: Cipher) -> int:
    """The size of a TLS 1.3 traffic secret for this cipher."""
    return hashlib.new(cipher.hash_name).digest_size


def _cut(buffer: bytearray, length_bytes: int) -> bytearray:
    head = buffer[:length_bytes]
    wipe(buffer)
    return head
