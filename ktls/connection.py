"""From an address to a socket whose TLS session is in the kernel."""

import socket
import ssl
from collections.abc import Collection
from contextlib import suppress
from time import monotonic

from ktls import kernel
from ktls.ciphers import PREFERRED, TLS_1_2_SUITES, Cipher
from ktls.errors import Error, HandshakeCut, HandshakeTimeout
from ktls.handshake import DirectionKeys, Handshake, TlsSession
from ktls.tls_socket import Socket


def create_context(
    cafile: str | None = None, offer: Collection[tuple[ssl.TLSVersion, Cipher]] | None = None
) -> ssl.SSLContext:
    """A context that verifies, and that offers only what the kernel can take over.

    `cafile` names a PEM file of trusted authorities instead of the system's. `offer`: what this kernel has, as
    `probe().ciphers` says (None: all that Linux knows). OpenSSL can't be told which TLS 1.3 suites to offer (Python's
    ssl has no call for it): where the kernel lacks one of them, TLS 1.2 alone is offered, if that leaves any. Contexts
    made otherwise do as well; with those, a server may choose what the kernel does not know, and `connect` raises
    KernelUnsupported. Raises OSError where `cafile` can't be read.
    """
    context = ssl.create_default_context(cafile=cafile)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(TLS_1_2_SUITES)
    if offer is not None:
        _narrow(context, offer)
    return context


def _narrow(context: ssl.SSLContext, offer: Collection[tuple[ssl.TLSVersion, Cipher]]) -> None:
    suites = [cipher.tls_1_2_suites for cipher in PREFERRED if (ssl.TLSVersion.TLSv1_2, cipher) in offer]
    if suites:
        context.set_ciphers(":".join(suites))
        if any((ssl.TLSVersion.TLSv1_3, cipher) not in offer for cipher in PREFERRED):
            context.maximum_version = ssl.TLSVersion.TLSv1_2
    else:
        context.minimum_version = ssl.TLSVersion.TLSv1_3


def connect(
    address: tuple[str, int] | socket.socket,
    context: ssl.SSLContext,
    server_hostname: str | None,
    *,
    timeout_s: float | None = 10.0,
    allow_unverified: bool = False,
) -> Socket:
    """Connect, make the TLS handshake in userspace, and hand the session to the kernel, both directions.

    `address` is (host, port), or a TCP socket that is connected already; that one is taken over: on return it is
    detached, and after an exception it is closed. `context` decides about certificates, versions and ciphers, and is
    as it was afterwards; while it is in use, another `connect` with it waits, so give each thread its own.
    `timeout_s` bounds connecting and handshake together (None: no bound), except that each address of a host may be
    given all of it. The returned socket keeps that as its timeout, or the timeout that the socket given had.

    Raises OSError where TCP does not connect, and of `ktls.errors`: ContextRefused, unless `allow_unverified`, where
    the context checks no certificates or host names; HandshakeFailed and what is below it; AlertReceived;
    KernelUnsupported.
    """
    deadline = None if timeout_s is None else monotonic() + timeout_s
    try:
        handshake = Handshake(context, server_hostname, allow_unverified=allow_unverified, deadline=deadline)
        sock = address if isinstance(address, socket.socket) else socket.create_connection(address, timeout=timeout_s)
    except BaseException:
        if isinstance(address, socket.socket):
            address.close()
        raise
    own_timeout_s = sock.gettimeout()
    try:
        with handshake:
            _make_handshake(sock, handshake, deadline)
            sock.settimeout(own_timeout_s)
            return hand_over(sock, handshake)
    except TimeoutError as error:
        if isinstance(error, Error):
            raise
        raise HandshakeTimeout(
            f"TLS handshake with {server_hostname} not complete within timeout_s={timeout_s}"
        ) from error
    finally:
        sock.close()


def hand_over(sock: socket.socket, handshake: Handshake) -> Socket:
    """Put the session of a completed handshake, all of whose data has been sent, into the kernel.

    Call it inside the handshake's context manager. `sock` is detached on return; after an exception it must not be
    used, because it may send plain text: close it. Raises KernelUnsupported.
    """
    session = handshake.session()
    tx, rx = handshake.direction_keys()
    try:
        kernel.attach_ulp(sock)
        _install(sock, kernel.TX, session, tx)
        _install(sock, kernel.RX, session, rx)
        if session.version == ssl.TLSVersion.TLSv1_3:
            kernel.expect_no_padding(sock)
    except BaseException:
        tx.wipe()
        rx.wipe()
        raise
    tx.keys.wipe()
    rx.keys.wipe()
    timeout_s = sock.gettimeout()
    handed_over = Socket(sock.detach(), session, tx.secret, rx.secret)
    handed_over.settimeout(timeout_s)
    return handed_over


def _install(sock: socket.socket, direction: int, session: TlsSession, keys: DirectionKeys) -> None:
    kernel.set_keys(sock, direction, session.version, session.cipher, keys.keys, keys.rec_seq)


def _make_handshake(sock: socket.socket, handshake: Handshake, deadline: float | None) -> None:
    try:
        handshake.start()
        while not handshake.is_complete:
            _send(sock, handshake.data_to_send(), deadline)
            handshake.receive(_receive(sock, handshake.wanted_bytes, deadline))
        _send(sock, handshake.data_to_send(), deadline)
    except Error:
        # The alert that tells the peer why. It may be gone already, or not be reading.
        with suppress(OSError):
            _send(sock, handshake.data_to_send(), deadline)
        raise


def _send(sock: socket.socket, data: bytes, deadline: float | None) -> None:
    _set_remaining_time(sock, deadline)
    try:
        sock.sendall(data)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise HandshakeCut("the peer reset the connection during the TLS handshake") from error


def _receive(sock: socket.socket, wanted_bytes: int, deadline: float | None) -> bytes:
    _set_remaining_time(sock, deadline)
    try:
        data = sock.recv(wanted_bytes)
    except ConnectionResetError as error:
        raise HandshakeCut("the peer reset the connection during the TLS handshake") from error
    if not data:
        raise HandshakeCut("the peer closed the connection during the TLS handshake")
    return data


def _set_remaining_time(sock: socket.socket, deadline: float | None) -> None:
    remaining_s = None if deadline is None else deadline - monotonic()
    if remaining_s is not None and remaining_s <= 0:
        # Not 0: that would make the socket non-blocking.
        raise TimeoutError("timed out")
    sock.settimeout(remaining_s)
