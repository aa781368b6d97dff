"""A service manager's end of NOTIFY_SOCKET."""

from __future__ import annotations

import socket
import time

TIMEOUT_S = 20.0


class Listening:
    """Takes datagrams at a path, or at an abstract name."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(TIMEOUT_S)
        self._socket.bind(address.replace("@", "\0", 1))

    def close(self) -> None:
        self._socket.close()

    def next(self) -> dict[str, str]:
        """The assignments of the next datagram."""
        lines = self._socket.recv(1 << 16).decode().split("\n")
        return dict(line.split("=", 1) for line in lines)

    def await_telling(self, name: str) -> dict[str, str]:
        """The next datagram that has this name in it."""
        until_s = time.monotonic() + TIMEOUT_S
        while name not in (told := self.next()):
            assert time.monotonic() < until_s, f"{name} is not told"
        return told

    def has_more(self) -> bool:
        self._socket.setblocking(False)
        try:
            return bool(self._socket.recv(1 << 16, socket.MSG_PEEK))
        except BlockingIOError:
            return False
        finally:
            self._socket.settimeout(TIMEOUT_S)
