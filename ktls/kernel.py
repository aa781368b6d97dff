"""The system calls of kernel TLS, one function each (Documentation/networking/tls.rst)."""

import errno
import os
import platform
import socket
import sys
from itertools import takewhile
from pathlib import Path
from ssl import TLSVersion

from ktls._ktls import ffi, lib
from ktls.ciphers import VERSION_NAMES, Cipher
from ktls.errors import KernelUnsupported
from ktls.key_schedule import TrafficKeys
from ktls.memory import wipe
from ktls.records import RecordType

SOL_TLS = lib.KTLS_SOL_TLS
TCP_ULP = lib.KTLS_TCP_ULP
TX = lib.KTLS_TX
RX = lib.KTLS_RX
SET_RECORD_TYPE = lib.KTLS_SET_RECORD_TYPE

_TLS_STAT = Path("/proc/net/tls_stat")
_ULP_NAME = b"tls"
# Older kernels mix a padded record's padding into the data that is read along with it, and raise no error. Seen on
# 6.1.176 and 6.12.101, not on 7.2.7.
_NO_PADDING_IS_SAFE_FROM = (7, 2)

_CRYPTO_INFO_ERRORS = {
    lib.KTLS_E_VERSION: "version",
    lib.KTLS_E_CIPHER: "cipher",
    lib.KTLS_E_KEY: "key size",
    lib.KTLS_E_IV: "iv size",
    lib.KTLS_E_ROOM: "buffer size",
}


def crypto_info(version: TLSVersion, cipher: Cipher, keys: TrafficKeys, rec_seq: int) -> bytearray:
    """The structure of linux/tls.h for one direction. It holds the keys: the caller wipes it.

    Raises ValueError where the sizes in `keys` are not the cipher's.
    """
    out = bytearray(lib.KTLS_CRYPTO_INFO_MAX_BYTES)
    size_bytes = lib.ktls_crypto_info(
        ffi.from_buffer("uint8_t[]", out, require_writable=True),
        len(out),
        version,
        cipher.kernel_number,
        ffi.from_buffer("uint8_t[]", keys.key),
        len(keys.key),
        ffi.from_buffer("uint8_t[]", keys.iv),
        len(keys.iv),
        rec_seq,
    )
    if size_bytes < 0:
        wrong = _CRYPTO_INFO_ERRORS[size_bytes]
        sizes = f"key of {len(keys.key)} bytes, iv of {len(keys.iv)} bytes"
        raise ValueError(f"wrong {wrong} for {cipher.name} under {VERSION_NAMES.get(version, version)}: {sizes}")
    del out[size_bytes:]
    return out


def attach_ulp(sock: socket.socket) -> None:
    """Put TLS upon a connected TCP socket. Until both keys are set, what is sent goes out as plain text.

    Raises KernelUnsupported where the kernel has no TLS.
    """
    try:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_ULP, _ULP_NAME)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise KernelUnsupported(f"Linux {platform.release()} has no TLS module loaded") from error
        raise


def set_keys(
    sock: socket.socket, direction: int, version: TLSVersion, cipher: Cipher, keys: TrafficKeys, rec_seq: int
) -> None:
    """Give the kernel the keys of one direction (TX or RX); a second time means a key update.

    Raises KernelUnsupported where the kernel does not know the version or cipher, OSError with EBUSY where it cannot
    change keys.
    """
    info = crypto_info(version, cipher, keys, rec_seq)
    try:
        sock.setsockopt(SOL_TLS, direction, info)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT, errno.ENOPROTOOPT):
            wanted = f"{VERSION_NAMES[version]} with {cipher.name}"
            raise KernelUnsupported(f"Linux {platform.release()} does not do {wanted} ({error.strerror})") from error
        raise
    finally:
        wipe(info)


def expect_no_padding(sock: socket.socket) -> None:
    """Let TLS 1.3 records be decrypted straight into the reader's buffer, which spares a copy of every byte.

    A padded record is then decrypted twice. Does nothing where that would damage what is read along with it.
    """
    if _kernel_version() >= _NO_PADDING_IS_SAFE_FROM:
        sock.setsockopt(SOL_TLS, lib.KTLS_RX_EXPECT_NO_PAD, 1)


def _kernel_version() -> tuple[int, int]:
    major, minor = platform.release().split(".")[:2]
    return int(major), int("".join(takewhile(str.isdigit, minor)))


def version_and_cipher(sock: socket.socket, direction: int) -> tuple[int, int]:
    """What the kernel says it uses for a direction, as the numbers of linux/tls.h. Asks for no key material."""
    head = sock.getsockopt(SOL_TLS, direction, 4)
    return int.from_bytes(head[:2], sys.byteorder), int.from_bytes(head[2:], sys.byteorder)


def ulp_name(sock: socket.socket) -> str:
    """The upper layer protocol on a TCP socket: "tls", or "" for none."""
    return sock.getsockopt(socket.IPPROTO_TCP, TCP_ULP, 16).rstrip(b"\0").decode("ascii")


def receive(fileno: int, buffer: memoryview, flags: int) -> tuple[int, int | None]:
    """One recvmsg, without the poll that socket.recvmsg makes first where the socket has a timeout.

    Returns how many bytes came, and the type of the record they are from, or None at the end of the stream. A record
    that is longer than the buffer comes in pieces. Raises OSError.
    """
    kind = ffi.new("int *")
    room = ffi.from_buffer("uint8_t[]", buffer, require_writable=True)
    count = lib.ktls_receive(fileno, room, len(buffer), flags, kind)
    if count < 0:
        raise OSError(-count, os.strerror(-count))
    return count, kind[0] or None


def record_type_header(kind: RecordType) -> list[tuple[int, int, bytes]]:
    """Ancillary data that makes sendmsg send a record of this type instead of application data."""
    return [(SOL_TLS, SET_RECORD_TYPE, bytes([kind]))]


def tls_stat() -> dict[str, int]:
    """The counters of /proc/net/tls_stat (Documentation/networking/tls.rst); empty where the kernel has none.

    They count for the whole network namespace: TlsTxSw and TlsRxSw rise by one per connection handed over.
    """
    try:
        text = _TLS_STAT.read_text(encoding="ascii")
    except FileNotFoundError:
        return {}
    return {name: int(value) for name, value in (line.split() for line in text.splitlines())}


def can_rekey() -> bool:
    """Whether the kernel can change keys in a running session; upstream can since 6.14, which brought this counter."""
    return "TlsRxRekeyOk" in tls_stat()


def module_file() -> Path | None:
    """The tls module's file for the running kernel, or None where it is not installed (or built in)."""
    modules = Path("/lib/modules") / os.uname().release
    return next(modules.glob("kernel/net/tls/tls.ko*"), None)
