"""The ciphers that both TLS and Linux know, and the TLS versions, by name and number."""

from dataclasses import dataclass
from ssl import TLSVersion

from ktls._ktls import lib

VERSION_NAMES = {TLSVersion.TLSv1_2: "TLS 1.2", TLSVersion.TLSv1_3: "TLS 1.3"}

NONCE_BYTES = 12
GCM_SALT_BYTES = 4


@dataclass(frozen=True)
class Cipher:
    """An AEAD cipher with the hash that its suites derive keys with."""

    name: str
    kernel_number: int
    key_bytes: int
    hash_name: str
    has_explicit_nonce: bool
    """Whether TLS 1.2 sends part of each nonce with the record (RFC 5288 3), so that the keys give only the salt."""
    tls_1_2_suites: str
    """The forward secret suites of TLS 1.2 that have it, in OpenSSL's cipher list format."""

    def iv_bytes(self, version: TLSVersion) -> int:
        """How many bytes of each direction's nonce the key schedule gives."""
        explicit = version == TLSVersion.TLSv1_2 and self.has_explicit_nonce
        return GCM_SALT_BYTES if explicit else NONCE_BYTES


AES_128_GCM = Cipher("AES-128-GCM", lib.KTLS_CIPHER_AES_GCM_128, 16, "sha256", True, "ECDHE+AES128+AESGCM")
AES_256_GCM = Cipher("AES-256-GCM", lib.KTLS_CIPHER_AES_GCM_256, 32, "sha384", True, "ECDHE+AES256+AESGCM")
CHACHA20_POLY1305 = Cipher(
    "CHACHA20-POLY1305", lib.KTLS_CIPHER_CHACHA20_POLY1305, 32, "sha256", False, "ECDHE+CHACHA20"
)

CIPHERS = (AES_128_GCM, AES_256_GCM, CHACHA20_POLY1305)

# How OpenSSL's suite names end. TLS 1.3 uses the IANA spelling, TLS 1.2 OpenSSL's own.
_SUITE_ENDINGS = {
    "AES_128_GCM_SHA256": AES_128_GCM,
    "AES_256_GCM_SHA384": AES_256_GCM,
    "CHACHA20_POLY1305_SHA256": CHACHA20_POLY1305,
    "AES128-GCM-SHA256": AES_128_GCM,
    "AES256-GCM-SHA384": AES_256_GCM,
    "CHACHA20-POLY1305": CHACHA20_POLY1305,
}

# The TLS 1.2 suites to offer, in this order: forward secret, and one of the three ciphers. (TLS 1.3 has only such
# suites by default.)
PREFERRED = (AES_256_GCM, AES_128_GCM, CHACHA20_POLY1305)
TLS_1_2_SUITES = ":".join(cipher.tls_1_2_suites for cipher in PREFERRED)


def cipher_of_suite(suite: str) -> Cipher | None:
    """The cipher of a suite as `SSLObject.cipher()[0]` names it, or None where it is none of the three."""
    return next((cipher for ending, cipher in _SUITE_ENDINGS.items() if suite.endswith(ending)), None)
