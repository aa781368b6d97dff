"""One connection to the control socket: what it has asked, what it is still to be told.

Law: never waits. What a client does not read is kept up to MOST_UNSENT_BYTES and for UNREAD_S; then it has gone.
"""

from __future__ import annotations

import os
import socket
import time
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from lb.control.protocol import Fault, Id, Lines, Request, event_line, request_line

READ_BYTES = 16 << 10
MOST_UNSENT_BYTES = 4 << 20
UNREAD_S = 10.0
"""A client that has read nothing for so long, though something is there, is cut off."""


class Later:
    """An answer that is not known yet. `look` returns it once it is, or raises Refusal; it is asked in every turn, and
    at until_ns, where it has one in any case. `is_of_upgrade`: another program gives it."""

    def __init__(
        self, look: Callable[[], Mapping[str, object] | None], until_ns: int, *, is_of_upgrade: bool = False
    ) -> None:
        self.look = look
        self.until_ns = until_ns
        self.is_of_upgrade = is_of_upgrade


class Client:
    """`close()` is called once, by the server. What `on_close` holds is called then."""

    def __init__(self, connection: socket.socket, may: Collection[str] | None = None) -> None:
        """`may`: the verbs that it may use; None: all."""
        connection.setblocking(False)
        self.may = may
        self._socket = connection
        self._lines = Lines()
        self._unsent: deque[tuple[bytes, list[int]]] = deque()
        self._unsent_bytes = 0
        self._sent_ns = 0
        self._is_ending = False
        self.has_gone = False
        """Nobody is there, or will be heard, any more."""
        self.request: Request | Fault | None = None
        """The next that is to be answered."""
        self.later: list[tuple[Id, Later]] = []
        self.watch: Id | bool = False
        """The id that events go to; False: they are not wanted."""
        self.on_close: list[Callable[[], object]] = []
        self.readers: dict[int, Callable[[Any], object]] = {}
        """Those that it has attached, by their numbers: what their topics' changes go to."""

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another process, where its socket has the same number. What it has asked and got no answer to
        is asked again there, but for what is to be answered later."""
        asked = request_line(self.request) if isinstance(self.request, Request) else b""
        return {
            "fd": self.fileno(),
            "lines": b64encode(asked + self._lines.rest).decode(),
            "unsent": [[b64encode(line).decode(), fds] for line, fds in self._unsent],
            "is_ending": self._is_ending,
            "watch": self.watch,
            "readers": sorted(self.readers),
        }

    @classmethod
    def adopt(cls, handed_over: Mapping[str, Any]) -> Client:
        """Whose readers are still to be attached."""
        client = cls(socket.socket(fileno=handed_over["fd"]))
        client._lines.receive(b64decode(handed_over["lines"]))
        client._unsent.extend((b64decode(line), list(fds)) for line, fds in handed_over["unsent"])
        client._unsent_bytes = sum(len(line) for line, _ in client._unsent)
        client._sent_ns = time.monotonic_ns()
        client._is_ending = handed_over["is_ending"]
        client.watch = handed_over["watch"]
        client.next_request()
        return client

    @property
    def fds(self) -> list[int]:
        """Its socket, and what is to be sent to it."""
        return [self.fileno(), *(fd for _, fds in self._unsent for fd in fds)]

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> None:
        """Read on, unless a request is there that waits for its turn. What comes behind the last is not heard."""
        if self.request is not None or self.has_gone:
            return
        try:
            data = self._socket.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.has_gone = True
        elif not self._is_ending:
            self._lines.receive(data)
            self.next_request()

    def next_request(self) -> None:
        """Go on to the next request that has been read."""
        self.request = None if self._is_ending else self._lines.take()

    def say(self, line: bytes, fds: Sequence[int] = ()) -> None:
        """Send a line. `fds` go with it and are closed here."""
        if not self._unsent:
            self._sent_ns = time.monotonic_ns()
        self._unsent.append((line, list(fds)))
        self._unsent_bytes += len(line)
        self.flush()

    def tell(self, event: Mapping[str, object]) -> None:
        """Send an event, if they are wanted."""
        if self.watch is not False and not self.has_gone:
            self.say(event_line(self.watch, event))

    def end(self) -> None:
        """What was said is sent, and no more."""
        self._is_ending = True
        self.has_gone = self.has_gone or not self._unsent

    @property
    def is_behind(self) -> bool:
        """Whether something waits for it to read."""
        return bool(self._unsent)

    def flush(self) -> None:
        """Send what there is room for."""
        while self._unsent and not self.has_gone:
            line, fds = self._unsent[0]
            try:
                sent_bytes = socket.send_fds(self._socket, [line], fds, socket.MSG_NOSIGNAL)
            except (BlockingIOError, InterruptedError):
                is_over = time.monotonic_ns() - self._sent_ns > UNREAD_S * 1e9
                self.has_gone = is_over or self._unsent_bytes > MOST_UNSENT_BYTES
                return
            except OSError:
                self.has_gone = True
                return
            self._sent_ns = time.monotonic_ns()
            self._unsent_bytes -= sent_bytes
            self._unsent.popleft()
            _close(fds)
            if sent_bytes < len(line):
                self._unsent.appendleft((line[sent_bytes:], []))
        self.has_gone = self.has_gone or (self._is_ending and not self._unsent)

    def close(self) -> None:
        for _, fds in self._unsent:
            _close(fds)
        self._unsent.clear()
        self._socket.close()
        for callback in self.on_close:
            callback()


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
