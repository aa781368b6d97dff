"""The key schedule against the RFCs' vectors, and against OpenSSL."""

import subprocess
from ssl import TLSVersion

import pytest
from need import need

import ktls
from ktls.key_schedule import (
    TrafficSecret,
    hash_bytes,
    hkdf_expand_label,
    key_block_1_2,
    prf_1_2,
)

SECRET = bytes(range(100, 148))
CLIENT_RANDOM, SERVER_RANDOM = bytes(range(32)), bytes(range(32, 64))

EVERY_CIPHER = pytest.mark.parametrize("cipher", ktls.CIPHERS, ids=lambda cipher: cipher.name)


def openssl_kdf(name: str, length_bytes: int, *options: str) -> bytes:
    """What `openssl kdf` derives."""
    need("openssl")
    settings = [word for option in options for word in ("-kdfopt", option)]
    command = ["openssl", "kdf", "-binary", "-keylen", str(length_bytes), *settings, name]
    return subprocess.run(command, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("secret", "key", "iv"),
    [
        (
            "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
            "17422dda596ed5d9acd890e3c63f5051",
            "5b78923dee08579033e523d9",
        ),
        (
            "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643",
            "9f02283b6c9c07efc26bb9f2ac92e356",
            "cf782b88dd83549aadf1e984",
        ),
    ],
    ids=["client", "server"],
)
def test_rfc_8448_3_application_traffic_keys(secret: str, key: str, iv: str) -> None:
    keys = TrafficSecret(bytearray.fromhex(secret), ktls.AES_128_GCM).keys()
    assert (keys.key.hex(), keys.iv.hex()) == (key, iv)


@EVERY_CIPHER
def test_tls_1_3_keys_and_their_updates_are_those_of_openssl(cipher: ktls.Cipher) -> None:
    raw = SECRET[: hash_bytes(cipher)]
    secret = TrafficSecret(bytearray(raw), cipher)

    def expand(key: bytes, label: str, length_bytes: int) -> bytes:
        return openssl_kdf(
            "TLS13-KDF",
            length_bytes,
            "mode:EXPAND_ONLY",
            f"digest:{cipher.hash_name}",
            f"hexkey:{key.hex()}",
            "prefix:tls13 ",
            f"label:{label}",
        )

    for _ in range(3):
        keys = secret.keys()
        assert keys.key == expand(raw, "key", cipher.key_bytes)
        assert keys.iv == expand(raw, "iv", 12)
        raw = expand(raw, "traffic upd", len(raw))
        secret.advance()


def test_expansion_longer_than_one_hash() -> None:
    expected = openssl_kdf(
        "TLS13-KDF", 100, "mode:EXPAND_ONLY", "digest:sha256", f"hexkey:{SECRET.hex()}", "prefix:tls13 ", "label:long"
    )
    assert hkdf_expand_label(SECRET, "long", b"", 100, "sha256") == expected


def test_prf_of_rfc_5246_with_the_known_answer_for_sha_256() -> None:
    # The test vector that was posted to the TLS working group's list for P_SHA256.
    secret = bytes.fromhex("9bbe436ba940f017b17652849a71db35")
    seed = bytes.fromhex("a0ba9f936cda311827a6f796ffd5198c")
    expected = (
        "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af"
        "0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701"
        "87347b66"
    )
    assert prf_1_2(secret, b"test label", seed, 100, "sha256").hex() == expected


@EVERY_CIPHER
def test_tls_1_2_key_block_is_that_of_openssl(cipher: ktls.Cipher) -> None:
    client, server = key_block_1_2(bytearray(SECRET), CLIENT_RANDOM, SERVER_RANDOM, cipher)
    # RFC 5246 6.3: client key, server key, client IV, server IV, from the randoms in the other order.
    seed = b"key expansion" + SERVER_RANDOM + CLIENT_RANDOM
    iv_bytes = 12 if cipher is ktls.CHACHA20_POLY1305 else 4
    block = openssl_kdf(
        "TLS1-PRF",
        2 * (cipher.key_bytes + iv_bytes),
        f"digest:{cipher.hash_name}",
        f"hexsecret:{SECRET.hex()}",
        f"hexseed:{seed.hex()}",
    )
    assert client.key + server.key + client.iv + server.iv == block
    assert len(client.iv) == len(server.iv) == cipher.iv_bytes(TLSVersion.TLSv1_2) == iv_bytes


def test_secrets_are_wiped_and_never_shown() -> None:
    raw = bytearray(SECRET[:32])
    secret = TrafficSecret(raw, ktls.AES_128_GCM)
    keys = secret.keys()
    for thing in (secret, keys):
        assert "hidden" in repr(thing)
    secret.advance()
    assert raw == bytes(32)
    keys.wipe()
    assert keys.key + keys.iv == bytes(28)
