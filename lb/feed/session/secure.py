"""Which side holds the TLS session, kernel or process, and the handshake that gives it to that side.

Law: decided once, when the balancer starts, and said in one line. With --tls kernel, no session is opened that the
kernel can't hold.
"""

from __future__ import annotations

import socket
import ssl

import websocket

import ktls
from lb import logs
from lb.config import Config, Tls
from lb.errors import ConnectFailed, Unavailable
from lb.feed.session.tls import UserTls

STEP_TIMEOUT_S = 10.0
"""Longest wait for one answer: a connection, a handshake's next flight, a line of the upgrade, a status."""

Stream = socket.socket | UserTls
"""What a session reads and writes. A ktls.Socket is a socket.socket."""


def choose(config: Config) -> Tls:
    """Tls.KERNEL or Tls.USER, for all sessions to come. Raises Unavailable where --tls or --ca-file can't be obeyed."""
    if not config.endpoint.is_tls:
        if config.tls is Tls.KERNEL:
            raise Unavailable(f"--tls kernel: {config.endpoint.url} is not wss://, there is no TLS session")
        return Tls.USER
    trust(config.ca_file)
    if config.tls is Tls.USER:
        logs.info("TLS in userspace", reason="--tls user")
        return Tls.USER
    capabilities = ktls.probe()
    if capabilities.usable:
        logs.info("TLS in the kernel", kernel=capabilities.kernel_release, rekey=capabilities.can_rekey)
        return Tls.KERNEL
    reason = f"{capabilities.missing}; remedy: {capabilities.remedy}"
    if config.tls is Tls.KERNEL:
        raise Unavailable(f"--tls kernel: {reason}")
    logs.info("TLS in userspace", reason=reason)
    return Tls.USER


def trust(ca_file: str | None) -> ssl.SSLContext:
    """The context that checks the feed's certificate. Raises Unavailable when --ca-file can't be used."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise Unavailable(f"--ca-file {ca_file!r} can't be used: {error.strerror or error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def shake_hands(config: Config, holder: Tls, sock: socket.socket) -> tuple[Stream, str]:
    """Make the TLS session. Returns the stream and its description, such as "kernel TLSv1.3 AES-128-GCM".

    `sock` is taken over. Raises ConnectFailed.
    """
    host = config.endpoint.host
    try:
        if holder is Tls.USER:
            stream = UserTls(sock, trust(config.ca_file), host)
            return stream, f"user {stream.description}"
        handed_over = ktls.connect(sock, ktls.create_context(config.ca_file), host, timeout_s=STEP_TIMEOUT_S)
        return handed_over, f"kernel {handed_over.session}"
    except (ssl.SSLCertVerificationError, ktls.CertificateRefused) as error:
        reason = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else str(error)
        raise ConnectFailed(f"certificate of {host} is refused: {reason}") from None
    except OSError as error:
        raise ConnectFailed(f"TLS handshake with {host} failed: {reason_of(error)}") from None


def reason_of(error: Exception) -> str:
    """What an exception of ssl, socket or websocket says, in a few words."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    if isinstance(error, TimeoutError | websocket.WebSocketTimeoutException):
        return f"no answer within {STEP_TIMEOUT_S:g} s"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
