"""A TCP proxy between lb and the feed, which spoils the connection when asked to.

Law: it never changes, drops or repeats a byte of a connection that lives on. A thread accepts, and each connection has
one of its own.
"""

from __future__ import annotations

import contextlib
import enum
import select
import socket
import struct
import threading
import time
from types import TracebackType

_READ_BYTES = 1 << 18
_LOOK_S = 0.05
"""How often a connection on which nothing moves looks what is wanted of it."""


class Fate(enum.Enum):
    """What becomes of a connection."""

    OPEN = enum.auto()
    CUT = enum.auto()
    """It ends for both sides, at any byte."""
    RESET = enum.auto()
    """Both sides get ECONNRESET."""
    DEAD = enum.auto()
    """Nothing passes any more, and nobody is told."""


class Proxy:
    """Listens on a free port of loopback."""

    def __init__(self, feed_port: int) -> None:
        self._feed_port = feed_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.is_stalled = False
        self.piece_bytes = _READ_BYTES
        self._refuses = False
        self.connections: list[Connection] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.end(Fate.RESET)
        for connection in self.connections:
            connection.join()

    @property
    def bytes_of_connection(self) -> int:
        """What the youngest connection has brought to lb."""
        return self.connections[-1].passed_bytes if self.connections else 0

    def end(self, fate: Fate) -> None:
        """Of every open connection."""
        for connection in self.connections:
            if connection.fate is Fate.OPEN:
                connection.fate = fate

    def stall(self, time_s: float) -> None:
        """Nothing passes for so long; then all that has gathered does, at once."""
        self.is_stalled = True
        time.sleep(time_s)
        self.is_stalled = False

    def trickle(self, time_s: float, piece_bytes: int) -> None:
        """Bytes pass in small pieces for so long."""
        self.piece_bytes = piece_bytes
        time.sleep(time_s)
        self.piece_bytes = _READ_BYTES

    def refuse(self, time_s: float) -> None:
        """The connection is reset, and so is every new one for so long."""
        self._refuses = True
        self.end(Fate.RESET)
        time.sleep(time_s)
        self._refuses = False

    def _accept(self) -> None:
        while True:
            try:
                lb_side, _ = self._listener.accept()
            except OSError:
                return
            if self._refuses:
                _abort(lb_side)
                continue
            connection = Connection(self, lb_side, socket.create_connection(("127.0.0.1", self._feed_port)))
            self.connections.append(connection)
            connection.start()


class Connection(threading.Thread):
    """One of lb's, and the one to the feed that belongs to it."""

    def __init__(self, proxy: Proxy, lb_side: socket.socket, feed_side: socket.socket) -> None:
        super().__init__(daemon=True)
        self._proxy = proxy
        self._lb_side = lb_side
        self._feed_side = feed_side
        self.fate = Fate.OPEN
        self.passed_bytes = 0
        """From the feed to lb."""
        for sock in (lb_side, feed_side):
            sock.setblocking(False)

    def run(self) -> None:
        pending = b""
        with contextlib.suppress(EOFError, OSError):
            while self.fate in (Fate.OPEN, Fate.DEAD):
                pending = self._step(pending)
        for sock in (self._lb_side, self._feed_side):
            _abort(sock) if self.fate is Fate.RESET else sock.close()
        if self.fate is Fate.OPEN:
            self.fate = Fate.CUT

    def _step(self, pending: bytes) -> bytes:
        """Pass on what can be. Returns what lb has not taken yet."""
        passes = self.fate is Fate.OPEN and not self._proxy.is_stalled
        reads = [self._lb_side, *([self._feed_side] if passes and not pending else [])]
        readable, writable, _ = select.select(reads, [self._lb_side] if passes and pending else [], [], _LOOK_S)
        if self._lb_side in readable:
            said = _received(self._lb_side)
            if self.fate is Fate.OPEN:
                self._feed_side.sendall(said)  # a few bytes, for which there is room
        if self._feed_side in readable:
            return _received(self._feed_side)
        if writable:
            taken_bytes = self._lb_side.send(pending[: self._proxy.piece_bytes])
            self.passed_bytes += taken_bytes
            return pending[taken_bytes:]
        return pending


def _received(sock: socket.socket) -> bytes:
    data = sock.recv(_READ_BYTES)
    if not data:
        raise EOFError
    return data


def _abort(sock: socket.socket) -> None:
    """The other side gets ECONNRESET."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
