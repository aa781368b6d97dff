"""Which side holds the TLS session, kernel or process, and the handshake that gives it to that side.

Law: chosen when the balancer starts, and said in one line. With --tls kernel, no session is opened that the kernel
can't hold; with --tls auto, what the kernel has refused once, or has failed at repeatedly, goes to userspace from then
on.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping
from typing import Any

import ktls
from lb import logs
from lb.config import Config, Tls
from lb.errors import ConnectFailed, KernelTlsFailed, Unavailable
from lb.feed.session import limits
from lb.feed.session.tls import UserTls
from lb.recurrence import Recurrence

Stream = socket.socket | UserTls
"""What a session reads and writes. A ktls.Socket is a socket.socket."""


class Security:
    """Makes the TLS sessions of one endpoint. `side`: Tls.KERNEL or Tls.USER, for the sessions to come."""

    def __init__(self, config: Config) -> None:
        """Raises Unavailable where --tls or --ca-file can't be obeyed."""
        self._config = config
        self._failures = Recurrence(limits.MOST_KERNEL_TLS_FAILURES, limits.KERNEL_TLS_WINDOW_S)
        self._offer = frozenset[tuple[ssl.TLSVersion, ktls.Cipher]]()
        if not config.dumpable:  # whoever must not look into the process must not get its secrets in a file, either
            os.environ.pop("SSLKEYLOGFILE", None)
        self.side = self._choose() if config.endpoint.is_tls else self._none()
        self._context = self._new_context() if config.endpoint.is_tls else None

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another process."""
        return {"side": self.side.value, "failures": self._failures.hand_over()}

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        """What the kernel has failed at before, it is not asked for again."""
        self._failures.adopt(handed_over["failures"])
        if self.side is Tls.KERNEL and handed_over["side"] == Tls.USER.value and self._config.tls is Tls.AUTO:
            self._leave_kernel("so it was before the upgrade")

    def shake_hands(self, sock: socket.socket) -> tuple[Stream, str]:
        """Make the TLS session, where there is one. Returns the stream and its description, such as "kernel TLS 1.3
        AES-128-GCM", or "none".

        `sock` is taken over. Raises ConnectFailed, or Unavailable with --tls kernel for what the kernel can't hold.
        """
        if not self._config.endpoint.is_tls:
            return sock, "none"
        host = self._config.endpoint.host
        side = self.side
        try:
            if side is Tls.USER:
                stream = UserTls(sock, self._fresh_context(), host)
                return stream, f"user {stream.description}"
            handed_over = ktls.connect(sock, self._fresh_context(), host, timeout_s=limits.STEP_TIMEOUT_S)
            return handed_over, f"kernel {handed_over.session}"
        except (ssl.SSLCertVerificationError, ktls.CertificateRefused) as error:
            reason = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else str(error)
            text = f"certificate of {host} is refused: {reason}"
            raise ConnectFailed(text, limits.HOPELESS_LEAST_DELAY_S) from None
        except ktls.Error as error:
            raise self.refused(error) from None
        except OSError as error:
            raise ConnectFailed(f"TLS handshake with {host} failed: {reason_of(error)}") from None

    def _choose(self) -> Tls:
        if self._config.tls is Tls.USER:
            logs.info("TLS in userspace", reason="--tls user")
            return Tls.USER
        capabilities = ktls.probe()
        if capabilities.usable:
            logs.info("TLS in the kernel", kernel=capabilities.kernel_release, rekey=capabilities.can_rekey)
            self._offer = capabilities.ciphers
            return Tls.KERNEL
        reason = f"{capabilities.missing}; remedy: {capabilities.remedy}"
        if self._config.tls is Tls.KERNEL:
            raise Unavailable(f"--tls kernel: {reason}")
        logs.info("TLS in userspace", reason=reason)
        return Tls.USER

    def _none(self) -> Tls:
        if self._config.tls is Tls.KERNEL:
            raise Unavailable(f"--tls kernel: {self._config.endpoint.url} is not wss://, there is no TLS session")
        return Tls.USER

    def refused(self, error: ktls.Error) -> ConnectFailed:
        """What follows from an error of the hand-over. ktls says whether the same attempt would meet it again: then the
        kernel is left out, where that may be.

        Raises Unavailable for what --tls kernel can never have.
        """
        reason = f"TLS handshake with {self._config.endpoint.host} failed: {error}"
        if error.retry:
            return ConnectFailed(reason)
        if self._config.tls is Tls.AUTO:
            self._leave_kernel(str(error))
            return ConnectFailed(reason)
        if isinstance(error, ktls.KernelUnsupported):
            raise Unavailable(f"--tls kernel: {error}")
        return ConnectFailed(reason, limits.HOPELESS_LEAST_DELAY_S)

    def kernel_failed(self, error: KernelTlsFailed, now_ns: int) -> None:
        """The kernel's TLS has ended a session. With --tls auto, where that happens over and over, it is left out: what
        kernels do wrong is often sporadic, and the next session may meet it again."""
        if self.side is Tls.KERNEL and self._config.tls is Tls.AUTO and self._failures.add(now_ns):
            times, within_s = limits.MOST_KERNEL_TLS_FAILURES, limits.KERNEL_TLS_WINDOW_S
            self._leave_kernel(f"the kernel's TLS has ended {times} sessions within {within_s:g} s; {error}")

    def _leave_kernel(self, reason: str) -> None:
        logs.warning("TLS in userspace from now on", reason=reason)
        self.side = Tls.USER
        self._context = self._new_context()

    def _new_context(self) -> ssl.SSLContext:
        """Raises Unavailable."""
        ca_file = self._config.ca_file
        try:
            if self.side is Tls.KERNEL:
                return ktls.create_context(ca_file, self._offer)
            context = ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            subject = "the system's certificates" if ca_file is None else f"--ca-file {ca_file!r}"
            raise Unavailable(f"{subject} can't be used: {error.strerror or error}") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Python 3.11.2 (Debian 12) sets it: a stream that somebody cut would look like one that the feed has ended.
        context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
        return context

    def _fresh_context(self) -> ssl.SSLContext:
        """One that knows the certificates as they stand now; while they can't be read (they are being renewed,
        perhaps), those read last."""
        try:
            self._context = self._new_context()
        except Unavailable as error:
            logs.warning("certificates read earlier are used", reason=str(error))
        assert self._context is not None  # read once when the balancer started
        return self._context


def reason_of(error: Exception) -> str:
    """What an exception of ssl or socket says, in a few words."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    if isinstance(error, TimeoutError):
        return f"no answer within {limits.STEP_TIMEOUT_S:g} s"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
