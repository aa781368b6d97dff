"""From a host and port to a connected socket: every address of the name is tried, side by side.

Law: blocking, for the attempt's thread. RFC 8305: families take turns, a new address is tried every 250 ms or as soon
as one has failed, the first connection wins, and the others are closed. The address that worked last comes first.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

from lb.errors import ConnectFailed
from lb.feed.session import limits

STAGGER_S = 0.25
"""RFC 8305 section 5: Connection Attempt Delay."""

RECEIVE_BUFFER_BYTES_MAX = 16 << 20
PEAK_BYTES_PER_S = 200_000_000
"""Of the busiest seconds: over a million trades."""
STALL_S = 0.010
"""How long we may have no CPU without the feed being held up."""


@dataclass(frozen=True, slots=True)
class Address:
    """One of getaddrinfo()'s."""

    family: int
    kind: int
    protocol: int
    where: tuple[Any, ...]

    def __str__(self) -> str:
        return str(self.where[0])


@dataclass(frozen=True, slots=True)
class _Try:
    sock: socket.socket
    address: Address
    until_s: float


class Dialer:
    """Remembers which address worked."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._worked: Address | None = None

    def dial(self) -> socket.socket:
        """Connect; the name is resolved anew each time. Raises ConnectFailed with what each address said."""
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise ConnectFailed(f"host {self._host!r} can't be resolved: {reason}") from None
        addresses = [Address(family, kind, protocol, where) for family, kind, protocol, _, where in found]
        addresses = in_order(addresses, self._worked)
        sock, self._worked = race(addresses, f"{self._host}:{self._port}")
        sock.settimeout(limits.STEP_TIMEOUT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _set_receive_buffer(sock, receive_buffer_bytes(round_trip_s(sock)))
        return sock


def in_order(addresses: list[Address], worked: Address | None) -> list[Address]:
    """RFC 8305 section 4: families in turn, beginning with the resolver's first; before all what worked last."""
    unique = list(dict.fromkeys(addresses))
    by_family = [[a for a in unique if a.family == family] for family in dict.fromkeys(a.family for a in unique)]
    longest = max(map(len, by_family), default=0)
    mixed = [family[turn] for turn in range(longest) for family in by_family if turn < len(family)]
    return [worked, *(a for a in mixed if a != worked)] if worked in mixed and worked is not None else mixed


def race(addresses: list[Address], place: str) -> tuple[socket.socket, Address]:
    """The first connection there is, non-blocking, and to where. Raises ConnectFailed; `place` is for its text."""
    with _Race(addresses) as race:
        return race.run(place)


class _Race:
    """Owns every socket until run() has given the winner away."""

    def __init__(self, addresses: list[Address]) -> None:
        self._left = addresses
        self._running: dict[int, _Try] = {}
        self._refusals: list[str] = []
        self._poll = select.poll()

    def __enter__(self) -> _Race:
        return self

    def __exit__(self, *_: object) -> None:
        for attempt in self._running.values():
            attempt.sock.close()

    def run(self, place: str) -> tuple[socket.socket, Address]:
        next_s = 0.0
        while self._left or self._running:
            now_s = time.monotonic()
            if self._left and (now_s >= next_s or not self._running):
                self._start(self._left.pop(0), now_s)
                next_s = now_s + STAGGER_S
                continue
            wakes_s = [attempt.until_s for attempt in self._running.values()] + ([next_s] if self._left else [])
            for fd, _ in self._poll.poll(max(min(wakes_s) - now_s, 0.0) * 1e3 + 1):
                if (winner := self._finish(fd)) is not None:
                    return winner
                next_s = 0.0  # the next one's turn has come
            self._give_up(time.monotonic())
        raise ConnectFailed(f"no connection to {place}: {'; '.join(self._refusals)}")

    def _start(self, address: Address, now_s: float) -> None:
        try:
            sock = socket.socket(address.family, address.kind, address.protocol)
        except OSError as error:
            self._refuse(address, error.errno)
            return
        sock.setblocking(False)
        error_number = sock.connect_ex(address.where)
        if error_number in (0, errno.EINPROGRESS):
            self._running[sock.fileno()] = _Try(sock, address, now_s + limits.STEP_TIMEOUT_S)
            self._poll.register(sock, select.POLLOUT)
        else:
            sock.close()
            self._refuse(address, error_number)

    def _finish(self, fd: int) -> tuple[socket.socket, Address] | None:
        attempt = self._running.pop(fd)
        self._poll.unregister(fd)
        error_number = attempt.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error_number == 0:
            return attempt.sock, attempt.address
        attempt.sock.close()
        self._refuse(attempt.address, error_number)
        return None

    def _give_up(self, now_s: float) -> None:
        for fd, attempt in list(self._running.items()):
            if now_s >= attempt.until_s:
                del self._running[fd]
                self._poll.unregister(fd)
                attempt.sock.close()
                self._refusals.append(f"{attempt.address}: no answer within {limits.STEP_TIMEOUT_S:g} s")

    def _refuse(self, address: Address, error_number: int | None) -> None:
        self._refusals.append(f"{address}: {os.strerror(error_number or 0)}")


def receive_buffer_bytes(round_trip_s: float) -> int:
    """What the feed may send at its peak while it hears nothing from us. More would be slower: a backlog that outgrows
    the CPU's caches makes every copy wait for memory."""
    return min(RECEIVE_BUFFER_BYTES_MAX, int(PEAK_BYTES_PER_S * (round_trip_s + STALL_S)))


def round_trip_s(sock: socket.socket) -> float:
    """Of the connect, as the kernel has measured it."""
    tcpi_rtt = 68  # offset of a 32-bit number of microseconds in struct tcp_info (linux/tcp.h)
    information = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, tcpi_rtt + 4)
    (round_trip_us,) = struct.unpack_from("=I", information, tcpi_rtt)
    return float(round_trip_us) / 1e6


def _set_receive_buffer(sock: socket.socket, size_bytes: int) -> None:
    """Needs CAP_NET_ADMIN. Without it the kernel's own tuning goes further than net.core.rmem_max allows us."""
    so_rcvbufforce = 33  # asm-generic/socket.h; Python does not name it
    with contextlib.suppress(PermissionError):
        sock.setsockopt(socket.SOL_SOCKET, so_rcvbufforce, size_bytes)
