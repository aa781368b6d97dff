"""A frame to many sockets: all of each gets it, in one piece or with the rest by its transport."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from trade_balancer.emit.board import NEVER
from trade_balancer.emit.group import NO_FD, Group
from trade_balancer.emit.sending import send_to_all

FRAME = bytes(range(256)) * 1024


class Client:
    """One end of a connection, and what its transport was given to write."""

    def __init__(self, has_fd: bool = True) -> None:
        self.group: Group | None = None
        self.got = NEVER
        self.seen = 0
        self.is_behind = False
        self.ours, self.theirs = socket.socketpair()
        self.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * len(FRAME))
        self.ours.setblocking(False)
        self.theirs.setblocking(False)
        self.fd = self.ours.fileno() if has_fd else NO_FD
        self.written: list[bytes] = []

    def write(self, frame: bytes) -> None:
        self.written.append(frame)

    def fill(self) -> int:
        """To the last byte that goes; returns how many those are."""
        filled = 0
        try:
            while True:
                filled += self.ours.send(b"x" * 100)
        except BlockingIOError:
            return filled

    def read(self) -> bytes:
        """What has come, and what is to come by the transport."""
        came = b""
        try:
            while data := self.theirs.recv(1 << 20):
                came += data
        except BlockingIOError:
            pass
        return came + b"".join(self.written)

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def clients() -> Iterator[list[Client]]:
    made = [Client(has_fd=number != 3) for number in range(6)]
    yield made
    for client in made:
        client.close()


def test_who_has_room_gets_it_at_once_and_the_others_by_their_transports(clients: list[Client]) -> None:
    free, full, narrow, without_fd, gone, last = clients
    narrow.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, len(FRAME) // 8)  # a part of it goes
    filled = full.fill()
    gone.theirs.close()
    send_to_all(FRAME, clients)
    assert [client.written for client in (free, last)] == [[], []]
    assert full.written == without_fd.written == gone.written == [FRAME]
    assert [0 < len(rest) < len(FRAME) for rest in narrow.written] == [True]
    assert full.read() == b"x" * filled + FRAME
    assert all(client.read() == FRAME for client in (free, narrow, without_fd, last))


def test_to_a_few_their_transports_write(clients: list[Client]) -> None:
    send_to_all(FRAME, clients[:2])
    assert [client.written for client in clients] == [[FRAME], [FRAME], [], [], [], []]
