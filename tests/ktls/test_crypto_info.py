"""The bytes that the kernel gets, against linux/tls.h written down here a second time."""

import ast
import struct
from pathlib import Path
from ssl import TLSVersion

import pytest

import ktls
from ktls._ktls import lib
from ktls.kernel import crypto_info
from ktls.key_schedule import TrafficKeys

V1_2, V1_3 = TLSVersion.TLSv1_2, TLSVersion.TLSv1_3
SALT, REST = b"SALT", b"ABCDEFGH"
REC_SEQ = 0x0102030405060708


def keys_for(cipher: ktls.Cipher, iv: bytes) -> TrafficKeys:
    """Keys that are easy to recognise."""
    return TrafficKeys(bytearray(range(0x40, 0x40 + cipher.key_bytes)), bytearray(iv))


@pytest.mark.parametrize(
    ("version", "cipher", "number", "iv", "iv_and_salt"),
    [
        # version, cipher_type, iv, key, salt, rec_seq. The key is put between iv and salt below.
        (V1_3, ktls.AES_128_GCM, 51, SALT + REST, (REST, SALT)),
        (V1_3, ktls.AES_256_GCM, 52, SALT + REST, (REST, SALT)),
        (V1_3, ktls.CHACHA20_POLY1305, 54, SALT + REST, (SALT + REST, b"")),
        # GCM under TLS 1.2: the explicit part of the nonce is the record number.
        (V1_2, ktls.AES_128_GCM, 51, SALT, (REC_SEQ.to_bytes(8), SALT)),
        (V1_2, ktls.AES_256_GCM, 52, SALT, (REC_SEQ.to_bytes(8), SALT)),
        (V1_2, ktls.CHACHA20_POLY1305, 54, SALT + REST, (SALT + REST, b"")),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_layout(
    version: TLSVersion, cipher: ktls.Cipher, number: int, iv: bytes, iv_and_salt: tuple[bytes, bytes]
) -> None:
    keys = keys_for(cipher, iv)
    expected = struct.pack("=HH", {V1_2: 0x0303, V1_3: 0x0304}[version], number)
    expected += iv_and_salt[0] + bytes(keys.key) + iv_and_salt[1] + REC_SEQ.to_bytes(8)
    assert crypto_info(version, cipher, keys, REC_SEQ) == expected


@pytest.mark.parametrize("cipher", ktls.CIPHERS, ids=lambda cipher: cipher.name)
@pytest.mark.parametrize("version", [V1_2, V1_3])
def test_wrong_sizes_are_named(version: TLSVersion, cipher: ktls.Cipher) -> None:
    iv = bytes(cipher.iv_bytes(version))
    with pytest.raises(ValueError, match=f"wrong iv size for {cipher.name} .* iv of {len(iv) + 1} bytes"):
        crypto_info(version, cipher, keys_for(cipher, iv + b"x"), 0)
    short = TrafficKeys(bytearray(cipher.key_bytes - 1), bytearray(iv))
    with pytest.raises(ValueError, match=f"wrong key size .* key of {cipher.key_bytes - 1} bytes"):
        crypto_info(version, cipher, short, 0)


def test_other_versions_and_ciphers_are_named() -> None:
    with pytest.raises(ValueError, match="wrong version"):
        crypto_info(TLSVersion.TLSv1_1, ktls.AES_128_GCM, keys_for(ktls.AES_128_GCM, bytes(12)), 0)
    unknown = ktls.Cipher("AES-128-CCM", 53, 16, "sha256", True, "")
    with pytest.raises(ValueError, match="wrong cipher for AES-128-CCM"):
        crypto_info(V1_3, unknown, keys_for(unknown, bytes(12)), 0)


def test_stub_names_what_the_module_has() -> None:
    stub = ast.parse((Path(ktls.__file__).parent / "_ktls.pyi").read_text())
    (declared,) = [node for node in stub.body if isinstance(node, ast.ClassDef) and node.name == "Lib"]
    names = {node.target.id for node in declared.body if isinstance(node, ast.AnnAssign)}  # type: ignore[union-attr]
    names |= {node.name for node in declared.body if isinstance(node, ast.FunctionDef)}
    assert names == set(dir(lib))
