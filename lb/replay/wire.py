"""A non-blocking byte stream over TCP, plain or TLS, and one thread that waits for it.

Law: one thread does all reading and writing of a stream, because a TLS session must not be read and written at once
from two. Other threads only wake it.
"""

import contextlib
import os
import select
import socket
import ssl
import struct
import threading
from types import TracebackType
from typing import Self

TLS_RECORD_BYTES = 1 << 14
"""So many bytes behind those that were sent may be in a TLS record that is made already: they must be the next sent."""

_READ_BYTES = 1 << 16
_LINGER = struct.Struct("ii")  # on, seconds: socket(7)


class WakeUp:
    """A level-triggered event that can be polled together with sockets (eventfd(2))."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        return self._fd

    def set(self) -> None:
        """Wakes the waiting thread, now or when it next waits. Any thread may call it, and a signal handler."""
        # Locked, or the number of a closed fd could by now be somebody else's; reentrant, for signal handlers call
        # this.
        with self._lock:
            if self._fd >= 0:
                os.eventfd_write(self._fd, 1)

    def clear(self) -> None:
        """Takes notice; a second call without a new event does nothing."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._fd)

    def close(self) -> None:
        with self._lock:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Wire:
    """One accepted connection."""

    def __init__(self, connection: socket.socket, tls: ssl.SSLContext | None, wake_up: WakeUp) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wake_up = wake_up
        self._socket = connection
        if tls is not None:
            self._socket = tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self._readable = select.poll()
        self._either = select.poll()
        self._alone = select.poll()
        self._alone.register(wake_up, select.POLLIN)
        for poll, events in (self._readable, select.POLLIN), (self._either, select.POLLIN | select.POLLOUT):
            poll.register(self._socket, events)
            poll.register(wake_up, select.POLLIN)

    def shake_hands(self) -> bool:
        """One step of the TLS handshake; whether it is complete. Raises OSError (ssl.SSLError) if it fails."""
        if not isinstance(self._socket, ssl.SSLSocket):
            return True
        try:
            self._socket.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        return True

    def receive(self) -> bytes | None:
        """Some bytes, none (`b""`) at the end of the stream, or None if there is nothing to read now."""
        try:
            return self._socket.recv(_READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except (ConnectionError, ssl.SSLEOFError):
            return b""

    def send(self, data: memoryview) -> int:
        """How many of the bytes the kernel has taken, 0 if it has no room now. Raises OSError if the peer is gone."""
        if isinstance(self._socket, ssl.SSLSocket):
            data = data[:TLS_RECORD_BYTES]  # of more, an unknown number of records would be on their way
        try:
            return self._socket.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def wait(self, timeout_s: float | None, for_room: bool) -> None:
        """Waits for something to read, for a wake-up, for room to send if asked, or for the time to pass."""
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return
        poll = self._either if for_room else self._readable
        poll.poll(None if timeout_s is None else max(timeout_s, 0) * 1e3)
        self._wake_up.clear()

    def rest(self, timeout_s: float | None) -> None:
        """Waits for a wake-up, or for the time to pass, whatever the peer does."""
        self._alone.poll(None if timeout_s is None else max(timeout_s, 0) * 1e3)
        self._wake_up.clear()

    def finish(self, notify: bool) -> None:
        """Ends our half of the stream, after all that was sent; the other half stays readable.

        What the peer has not read yet reaches it all the same: the end of the stream queues up behind it, where closing
        the socket with unread input would make the kernel send a reset instead. With `notify` a TLS peer is told by
        close_notify; without, it sees a connection that ends in the middle.
        """
        # The alert is sent but the peer's own not awaited, which a non-blocking socket reports as an error; and the
        # peer may have closed already.
        with contextlib.suppress(OSError):
            if notify and isinstance(self._socket, ssl.SSLSocket):
                self._socket.unwrap()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def reset_at_close(self) -> None:
        """`close` resets the connection: what is on its way, and what the peer has not read, is lost."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER.pack(1, 0))

    def close(self) -> None:
        self._socket.close()
