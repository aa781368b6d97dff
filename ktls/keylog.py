"""How the handshake's secrets get out of OpenSSL: through a key log in anonymous memory.

Python's ssl has one way to tell secrets, `SSLContext.keylog_filename` (the NSS key log format). Pointed at a memfd,
what is written touches no disk and no other process. The caller's context is borrowed for the time of one handshake
and given back as it was; while it is borrowed, another handshake with the same context waits.
"""

import os
from ssl import SSLContext
from threading import Lock
from time import monotonic
from types import TracebackType
from typing import Self
from weakref import WeakKeyDictionary

from ktls.errors import HandshakeTimeout
from ktls.memory import wipe

# Two handshakes that set the key log of one context would each lose their secrets to the other's.
_borrowed: WeakKeyDictionary[SSLContext, Lock] = WeakKeyDictionary()


class KeyLog:
    """A context manager: inside it, the context's handshakes log their secrets here; at its end they are wiped."""

    def __init__(self, context: SSLContext, deadline: float | None) -> None:
        """`deadline`, of time.monotonic(), bounds the wait for the context."""
        self._context = context
        self._deadline = deadline
        self._lock = _borrowed.setdefault(context, Lock())

    def __enter__(self) -> Self:
        if not self._lock.acquire(timeout=-1 if self._deadline is None else max(0.0, self._deadline - monotonic())):
            raise HandshakeTimeout("another handshake with the same SSLContext has not ended in time")
        try:
            self._fd = os.memfd_create("ktls-keylog")
            try:
                self._previous = self._context.keylog_filename
                self._context.keylog_filename = f"/proc/self/fd/{self._fd}"
            except BaseException:
                os.close(self._fd)
                raise
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            # First: the context holds the file open until it is given another one.
            self._context.keylog_filename = None  # type: ignore[assignment]  # typeshed forgets None
            if self._previous is not None:
                self._context.keylog_filename = self._previous
        finally:
            os.pwrite(self._fd, bytes(self._size_bytes()), 0)
            os.close(self._fd)
            self._lock.release()

    def secret(self, label: str, client_random: bytes) -> bytearray | None:
        """The secret logged under this label for the connection with this client random; the caller wipes it.

        Labels: CLIENT_RANDOM (the TLS 1.2 master secret), CLIENT_TRAFFIC_SECRET_0, SERVER_TRAFFIC_SECRET_0 (TLS 1.3).
        """
        text = bytearray(self._size_bytes())
        os.preadv(self._fd, [text], 0)
        try:
            head = f"{label} {client_random.hex()} ".encode("ascii")
            start = text.find(head)
            if start < 0:
                return None
            start += len(head)
            digits = text[start : text.index(b"\n", start)]
            try:
                return bytearray(int(digits[i : i + 2], 16) for i in range(0, len(digits), 2))
            finally:
                wipe(digits)
        finally:
            wipe(text)

    def _size_bytes(self) -> int:
        return os.fstat(self._fd).st_size
