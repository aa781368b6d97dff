"""What this kernel can do for TLS, found out by trying.

Law: nothing leaves the machine, no module is loaded on purpose, nothing is kept. Each combination is tried with a
made-up key on a connection of its own over loopback, and undone by closing it; what remains is a higher count in
/proc/net/tls_stat.
"""

import platform
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ssl import TLSVersion

from ktls import kernel
from ktls.ciphers import CIPHERS, VERSION_NAMES, Cipher
from ktls.errors import KernelUnsupported
from ktls.key_schedule import TrafficKeys

# What the ciphers are made of, by the names that the crypto subsystem asks for.
_CIPHER_MODULES = "crypto-gcm crypto-ctr crypto-ghash crypto-rfc7539 crypto-chacha20 crypto-poly1305"

_LOOPBACK_TIMEOUT_S = 1.0
"""A loopback that drops packets (a firewall's fault) must not hold up who asks."""


@dataclass(frozen=True)
class Capabilities:
    """What `probe` found."""

    kernel_release: str
    has_ulp: bool
    """Whether TCP sockets accept the "tls" upper layer protocol."""
    ciphers: frozenset[tuple[TLSVersion, Cipher]]
    """What can be handed over."""
    can_rekey: bool
    """Whether a session survives the peer's KeyUpdate."""
    missing: str | None
    """What stands in the way of handing sessions over at all, as a sentence; None if nothing does."""
    remedy: str | None
    """What the machine's owner can do about `missing`, or about what is incomplete; None if there is nothing to do."""

    @property
    def usable(self) -> bool:
        """Whether any session can be handed over."""
        return bool(self.ciphers)

    def names(self) -> list[str]:
        """Version and cipher of all that can be handed over, sorted."""
        return sorted(f"{VERSION_NAMES[version]} {cipher.name}" for version, cipher in self.ciphers)


def probe() -> Capabilities:
    """Find out what this kernel can do for TLS. Never raises for a kernel that can do little or nothing."""
    release = platform.release()
    # Asking through setsockopt would make a privileged process load the module; this file is only read. (The list in
    # /proc/sys/net/ipv4/tcp_available_ulp will not do: it exists in the machine's first network namespace only.)
    if not kernel.tls_stat():
        missing = f"Linux {release} has no TLS: no module is loaded, and none is built in"
        return Capabilities(release, False, frozenset(), False, missing, _module_remedy())
    try:
        ciphers = frozenset(
            (version, cipher) for version in VERSION_NAMES for cipher in CIPHERS if _accepts(version, cipher)
        )
    except OSError as error:
        missing = f"cannot try kernel TLS over loopback: {error.strerror or error}"
        return Capabilities(release, True, frozenset(), kernel.can_rekey(), missing, "ip link set lo up")
    can_rekey = kernel.can_rekey()
    incapable = None if ciphers else f"Linux {release} has TLS, but none of the ciphers"
    remedy = None
    if len(ciphers) < len(VERSION_NAMES) * len(CIPHERS):
        remedy = f"modprobe -a {_CIPHER_MODULES}"
    elif not can_rekey:
        remedy = "Linux 6.14 or later, to survive a peer's KeyUpdate"
    return Capabilities(release, True, ciphers, can_rekey, incapable, remedy)


def _module_remedy() -> str:
    if kernel.module_file() is not None:
        return "modprobe tls"
    return "modprobe tls; where that finds no module, a kernel built with CONFIG_TLS, 5.11 or later"


def _accepts(version: TLSVersion, cipher: Cipher) -> bool:
    keys = TrafficKeys(bytearray(cipher.key_bytes), bytearray(cipher.iv_bytes(version)))
    with _loopback_connection() as sock:
        kernel.attach_ulp(sock)
        try:
            for direction in (kernel.TX, kernel.RX):
                kernel.set_keys(sock, direction, version, cipher, keys, rec_seq=0)
        except KernelUnsupported:
            return False
        return True


@contextmanager
def _loopback_connection() -> Iterator[socket.socket]:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), timeout=_LOOPBACK_TIMEOUT_S) as sock,
    ):
        yield sock
