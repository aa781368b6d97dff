"""Joins a running lb by its control socket (docs/control.md): asks it, tells it.

Law: needs neither lb nor ktls. A line is a JSON object; each request has its number, and the answer has it, too.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

import orjson

from trade_balancer.errors import NoBalancerError, RefusedError

VERSION = 1
ANSWER_S = 30.0
"""How long an answer may take that waits for nothing but lb."""
NO_ARGUMENTS: Mapping[str, object] = {}
_READ_BYTES = 64 << 10
_MOST_FDS = 4
_FD = struct.Struct("i")


def connected(path: str) -> socket.socket:
    """A connection to the lb that serves `path`. Raises NoBalancerError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError as fault:
        connection.close()
        raise NoBalancerError(f"{path}: no lb there: {fault.strerror or fault}") from None
    return connection


class Control:
    """A connection to the lb that serves `path`. Not for use by two threads at a time.

    Raises:
        NoBalancerError: there is none, or it has ended; from every method.
        RefusedError: lb does not do what was asked; from every method.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._numbers = itertools.count(1)
        self._rest = b""
        self._fds: list[int] = []
        self._socket = connected(self._path)

    def __enter__(self) -> Control:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def end(self) -> None:
        """Close the connection, also where a forked process still holds it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self.close()

    def close(self) -> None:
        self._socket.close()
        while self._fds:
            os.close(self._fds.pop())

    def fileno(self) -> int:
        """Readable when lb says something, or has ended."""
        return self._socket.fileno()

    def ask(
        self, verb: str, arguments: Mapping[str, object] = NO_ARGUMENTS, within_s: float = ANSWER_S
    ) -> dict[str, Any]:
        """The result of a request. Events that come before it are passed over."""
        number = next(self._numbers)
        line = orjson.dumps({"v": VERSION, "id": number, "verb": verb, **arguments}, option=orjson.OPT_APPEND_NEWLINE)
        self._socket.settimeout(within_s)
        try:
            self._socket.sendall(line)
        except (BrokenPipeError, ConnectionResetError):
            pass  # what it has said before it closed is read below
        except OSError as fault:
            raise NoBalancerError(f"{self._path}: lb can't be asked: {fault.strerror or fault}") from None
        while True:
            said = self._receive()
            if "error" in said and said.get("id") in (number, None):
                raise RefusedError(str(said["error"].get("name")), str(said["error"].get("text")))
            if said.get("id") == number and "result" in said:
                return dict(said["result"])

    def events(self) -> Iterator[Mapping[str, Any]]:
        """What is pushed after ask("watch"), for ever."""
        self._socket.settimeout(None)
        while True:
            if "event" in (said := self._receive()):
                yield said["event"]

    def take_fd(self) -> int:
        """The descriptor that came with the last answer; the caller's from now on."""
        return self._fds.pop(0)

    def _receive(self) -> dict[str, Any]:
        while b"\n" not in self._rest:
            try:
                data = self._receive_some()
            except OSError as fault:
                text = f"no answer: {fault.strerror or fault}"
                raise NoBalancerError(f"{self._path}: {text}") from None
            if not data:
                raise NoBalancerError(f"{self._path}: lb has ended, or has cut us off")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            said = orjson.loads(line)
        except orjson.JSONDecodeError:
            said = None
        if not isinstance(said, dict):
            raise NoBalancerError(f"{self._path}: who answers there is no lb")
        return said

    def _receive_some(self) -> bytes:
        """What there is, and the descriptors that come with it: not for programs that this one starts."""
        room_bytes = socket.CMSG_SPACE(_MOST_FDS * _FD.size)
        data, ancillary, _, _ = self._socket.recvmsg(_READ_BYTES, room_bytes, socket.MSG_CMSG_CLOEXEC)
        for level, kind, numbers in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._fds += [fd for (fd,) in _FD.iter_unpack(numbers[: len(numbers) // _FD.size * _FD.size])]
        return data
