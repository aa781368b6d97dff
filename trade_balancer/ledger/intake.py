"""`lb-ledger listen`: transactions of other programs, by a socket; each is answered when it is in the database.

Law: a line is a record, and its answer is a line, in the same order. Whoever does not read its answers is not read.
"""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from trade_balancer.errors import UsageError, tell
from trade_balancer.ledger.ledger import Ledger
from trade_balancer.ledger.state import Outcome
from trade_balancer.ledger.transaction import Reason

READ_BYTES = 1 << 20
MOST_LINE_BYTES = 1 << 16
"""Of a record; whoever sends more is disconnected."""
MOST_WAITING_BYTES = 1 << 20
"""Of a client's lines that are not applied, and of its answers that it has not read; beyond, it is not read."""
TEND_S = 0.05
LAST_WORDS_S = 1.0
"""At the end, how long clients that do not read their answers are waited for, all together."""
_OWN_FDS = 64
"""Descriptors that are not clients': the database's above all."""


def listener(where: str) -> socket.socket:
    """unix:PATH, which only this user may use, or HOST:PORT. Raises UsageError."""
    try:
        if where.startswith("unix:"):
            path = Path(where.removeprefix("unix:"))
            _remove_dead(path)
            made = socket.socket(socket.AF_UNIX)
            mask = os.umask(0o177)
            try:
                made.bind(str(path))
            finally:
                os.umask(mask)
            made.listen()
            return made
        host, _, port = where.rpartition(":")
        return socket.create_server((host, int(port)))
    except (OSError, ValueError, OverflowError) as fault:
        raise UsageError(f"cannot listen at {where}: {getattr(fault, 'strerror', None) or fault}") from fault


def connection(where: str) -> socket.socket:
    """To a listener at such a place. Raises OSError, ValueError."""
    if where.startswith("unix:"):
        made = socket.socket(socket.AF_UNIX)
        try:
            made.connect(where.removeprefix("unix:"))
        except OSError:
            made.close()
            raise
        return made
    host, _, port = where.rpartition(":")
    return socket.create_connection((host, int(port)))


def _remove_dead(path: Path) -> None:
    """The socket of a process that has died; one that answers stays, and is in the way."""
    if not path.exists() or not stat.S_ISSOCK(path.stat().st_mode):
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()


class _Client:
    """A connection: what it has sent and is not answered, and what it has not read."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.got = bytearray()
        self.answers = bytearray()
        self.has_ended = False
        self.is_gone = False

    def read(self) -> None:
        try:
            chunk = self.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.is_gone = True
            return
        self.has_ended |= not chunk
        self.got += chunk

    def take_lines(self) -> list[bytes]:
        """All that are whole, and at the end of what it sends also the last one."""
        end = len(self.got) if self.has_ended else self.got.rfind(b"\n") + 1
        lines = [line for line in bytes(self.got[:end]).split(b"\n") if line.strip()]
        del self.got[:end]
        self.is_gone |= len(self.got) > MOST_LINE_BYTES
        return lines

    def write(self) -> None:
        try:
            del self.answers[: self.sock.send(self.answers)]
        except BlockingIOError:
            return
        except OSError:
            self.is_gone = True

    @property
    def wants(self) -> int:
        """Which events it waits for."""
        reads = not self.has_ended and len(self.answers) < MOST_WAITING_BYTES
        return (selectors.EVENT_READ if reads else 0) | (selectors.EVENT_WRITE if self.answers else 0)

    @property
    def is_over(self) -> bool:
        return self.is_gone or (self.has_ended and not self.got and not self.answers)


class Intake:
    """Serves clients until `is_stopped`; then all that was read is answered.

    Args:
        wake: a socket that becomes readable when there may be a stop.
    """

    def __init__(
        self, ledger: Ledger, listening: socket.socket, wake: socket.socket, is_stopped: Callable[[], bool],
        most_records: int,
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._listening = listening
        self._is_stopped = is_stopped
        self._most_records = most_records
        self._clients: dict[int, _Client] = {}
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most_clients = max(1, soft - _OWN_FDS)
        self._selector = selectors.DefaultSelector()
        listening.setblocking(False)
        self._selector.register(listening, selectors.EVENT_READ)
        self._selector.register(wake, selectors.EVENT_READ)
        self._wake = wake

    def serve(self) -> None:
        """What has come from all clients is applied together; what comes meanwhile is the next batch."""
        while not self._is_stopped():
            self._look(TEND_S)
            self._apply()
            self._ledger.tend()
        self._apply()
        until_s = time.monotonic() + LAST_WORDS_S
        for client in list(self._clients.values()):
            with contextlib.suppress(OSError):
                client.sock.settimeout(max(0.0, until_s - time.monotonic()))
                client.sock.sendall(client.answers)
            self._forget(client)
        self._selector.close()
        self._ledger.settle()

    def _look(self, timeout_s: float) -> None:
        for key, events in self._selector.select(timeout_s):
            if key.fileobj is self._listening:
                self._accept()
            elif key.fileobj is self._wake:
                self._wake.recv(64)
            else:
                client: _Client = key.data
                if events & selectors.EVENT_READ:
                    client.read()
                if events & selectors.EVENT_WRITE:
                    client.write()

    def _accept(self) -> None:
        """Where there are as many clients as can be, the next one waits until one of them leaves."""
        try:
            sock, _ = self._listening.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as fault:  # the machine's own want, of memory or of descriptors
            tell(f"a client can't be taken: {fault.strerror}")
            time.sleep(TEND_S)  # it would be readable at once, again and again
            return
        sock.setblocking(False)
        client = self._clients[sock.fileno()] = _Client(sock)
        self._selector.register(sock, selectors.EVENT_READ, client)
        if len(self._clients) == self._most_clients:
            tell(f"{self._most_clients} clients, as many as the limit of open files has room for: the next one waits")
            self._selector.unregister(self._listening)

    def _apply(self) -> None:
        asked = [(client, client.take_lines()) for client in self._clients.values()]
        records = [line for _, lines in asked for line in lines]
        answers: list[Any] = []
        for at in range(0, len(records), self._most_records):
            answers += self._ledger.submit(records[at : at + self._most_records])
        told = iter(answers)
        for client, lines in asked:
            for _ in lines:
                client.answers += _answer(*next(told))
            if client.answers and not client.is_gone:
                client.write()
            if client.is_over:
                self._forget(client)
            else:
                self._watch(client)

    def _watch(self, client: _Client) -> None:
        """One that waits for nothing is not watched: it would be told to have ended for ever."""
        is_watched = client.sock in self._selector.get_map()
        if client.wants and is_watched:
            self._selector.modify(client.sock, client.wants, client)
        elif client.wants:
            self._selector.register(client.sock, client.wants, client)
        elif is_watched:
            self._selector.unregister(client.sock)

    def _forget(self, client: _Client) -> None:
        del self._clients[client.sock.fileno()]
        if client.sock in self._selector.get_map():
            self._selector.unregister(client.sock)
        client.sock.close()
        if self._listening not in self._selector.get_map():
            self._selector.register(self._listening, selectors.EVENT_READ)


def _answer(transaction: Any, outcome: Outcome) -> bytes:
    status = "refused" if outcome.reason is not None else "pending" if outcome.is_pending else "applied"
    told: dict[str, Any] = {"id": transaction[0], "account": transaction[1], "status": status}
    if outcome.reason is not None:
        told["reason"] = Reason(outcome.reason).word
    if outcome.is_repeated:
        told["repeated"] = True
    return orjson.dumps(told) + b"\n"
