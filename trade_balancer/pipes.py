"""Reads the pipes of one process, blocking, with one large read per pipe that has something.

Law: the pipes belong to the caller and to the next worker: no flag of theirs is changed (O_NONBLOCK lives in the open
file description, which a restarted worker gets too) and none is closed. Of several pipes, epoll says which can be read;
one read of such a pipe never blocks its only reader.
"""

from __future__ import annotations

import fcntl
import os
import select
import stat
from collections.abc import Iterator, Sequence

from trade_balancer.acknowledgement import Acknowledger
from trade_balancer.channel import first_number, say_ready, wants_acknowledgement
from trade_balancer.errors import PipeError, ReadError, TruncatedFrameError
from trade_balancer.frames import FrameCutter

# Faster than 64 KiB by a tenth; 1 MiB is no faster, and its decoded records no longer fit the second-level cache.
READ_BYTES = 256 * 1024
COLUMNS_READ_BYTES = 512 * 1024
"""What is decoded into columns takes less room, and each read costs more: faster by a twentieth."""

OF_READERS: set[int] = set()
"""Pipes of readers of a running lb: it waits for no reader, so that such a pipe may end inside a record, which lb has
counted as not delivered."""

Batch = tuple[int, list[bytes]]
"""A pipe's fd and the records that one read of it completed, at least one."""


class Pipes:
    """Read ends of pipes, read until all of them have ended.

    Args:
        fds: numbers of open, readable, blocking file descriptors; a single one may also be a regular file.
        acknowledge: tell lb, where it wants to know (--redeliver), that what was handed over is finished, once the
            next is asked for.
        read_bytes: how much one read takes at most.

    Raises:
        PipeError: one is not open for reading, or is named twice.
        ProtocolError: see `say_ready`, which is called here.
    """

    def __init__(self, fds: Sequence[int], *, acknowledge: bool = True, read_bytes: int = READ_BYTES) -> None:
        check_fds(fds)
        say_ready()
        self.cutters = {fd: FrameCutter() for fd in fds}
        is_wanted = acknowledge and all(map(wants_acknowledgement, fds))
        self.acknowledger = Acknowledger(self.cutters) if is_wanted else None
        self._open = set(fds)
        # One buffer for ever: os.read() of this size allocates it anew each time, 12 us instead of 0.7 us at a trickle.
        self._buffer = memoryview(bytearray(read_bytes))

    def batches(self) -> Iterator[Batch]:
        """Yields what each read of a pipe completes, when it has been read, and returns when every pipe has ended.

        Raises:
            ReadError: at once.
        """
        for fds in self.readable():
            for fd in fds:
                if records := self.read(fd):
                    yield fd, records

    def rounds(self, idle_s: float | None = None) -> Iterator[list[Batch]]:
        """As `batches`, but what can be read at one time comes together, at most one batch per pipe.

        With `idle_s` an empty round comes whenever nothing could be read for so many seconds.
        """
        for fds in self.readable(idle_s):
            round_ = [(fd, records) for fd in fds if (records := self.read(fd))]
            if round_ or not fds:
                yield round_

    @property
    def records_total(self) -> int:
        return sum(cutter.records_total for cutter in self.cutters.values())

    def has_ended(self, fd: int) -> bool:
        """Whether its end has been read."""
        return fd not in self._open

    def truncated(self) -> str:
        """Which pipes have ended inside a frame, in words; empty where none has."""
        ends = [
            f"fd {fd}: the pipe {missing}"
            for fd, cutter in self.cutters.items()
            if fd not in OF_READERS and (missing := cutter.missing())
        ]
        return "; ".join(ends)

    def check_ends(self) -> None:
        """Raises TruncatedFrameError if a pipe that has ended did so inside a frame."""
        if truncated := self.truncated():
            raise TruncatedFrameError(truncated)

    def readable(self, idle_s: float | None = None) -> Iterator[list[int]]:
        """The pipes that have something to read, or their end, again and again until all have ended.

        With `idle_s` also an empty list, whenever none had for so many seconds.
        """
        if self.acknowledger is not None:
            yield from self._readable_by_epoll(idle_s, self.acknowledger)
            self.acknowledger.tell(waits=True)
        elif len(self._open) == 1 and (idle_s is None or _is_regular_file(*self._open)):
            while self._open:
                yield list(self._open)
        else:
            yield from self._readable_by_epoll(idle_s, None)

    def _readable_by_epoll(self, idle_s: float | None, acknowledger: Acknowledger | None) -> Iterator[list[int]]:
        with select.epoll(len(self._open)) as epoll:
            watched = set(self._open)
            for fd in watched:
                _watch(epoll, fd)
            while self._open:
                left_s = None if acknowledger is None else acknowledger.finished()
                readable = epoll.poll(idle_s if left_s is None else left_s)
                if left_s is None or readable:
                    yield [fd for fd, _ in readable]
                for fd in watched - self._open:
                    epoll.unregister(fd)
                    watched.remove(fd)

    def read(self, fd: int) -> list[bytes] | None:
        """The records that one read completes (perhaps none); None at the pipe's end."""
        chunk = self.read_chunk(fd)
        return None if chunk is None else self.cutters[fd].cut(chunk)

    def read_frames(self, fd: int) -> list[memoryview] | None:
        """The same uncut, as `FrameCutter.whole` gives it; valid until the next read of any pipe."""
        chunk = self.read_chunk(fd)
        return None if chunk is None else self.cutters[fd].whole(chunk)

    def read_chunk(self, fd: int) -> memoryview | None:
        """What one read brings, for those who cut it themselves (`FrameCutter.lead` and `keep`). Valid as above."""
        try:
            got_bytes = os.readv(fd, (self._buffer,))
        except OSError as fault:
            raise ReadError(f"fd {fd}: cannot read: {fault.strerror}") from fault
        if not got_bytes:
            self._open.discard(fd)
            return None
        return self._buffer[:got_bytes]


def batches(fds: Sequence[int], *, acknowledge: bool = True) -> Iterator[Batch]:
    """Yields (fd, records) for every read of every pipe until all have ended.

    The records are bytes, in the pipe's order, at least one. Signals are left alone: see `outlive_stop_signals`. With
    `lb --redeliver` a batch is acknowledged once the next one is asked for, or not with `acknowledge=False`.

    Raises:
        PipeError, ProtocolError, ReadError: at once.
        TruncatedFrameError: at the very end, naming every pipe that ended inside a frame.
    """
    pipes = Pipes(fds, acknowledge=acknowledge)
    yield from pipes.batches()
    pipes.check_ends()


def numbered(fds: Sequence[int], *, acknowledge: bool = True) -> Iterator[tuple[int, int, list[bytes]]]:
    """As `batches`, but yields (fd, number, records): the number of the first record, the next ones follow.

    `first_number` tells what a number is. Stored with a record's results, it tells what comes a second time.

    Raises:
        PipeError, ProtocolError, ReadError, TruncatedFrameError: as `batches`.
    """
    pipes = Pipes(fds, acknowledge=acknowledge)
    for fd, records in pipes.batches():
        yield fd, first_number(fd) + pipes.cutters[fd].records_total - len(records), records
    pipes.check_ends()


def views(fds: Sequence[int], *, acknowledge: bool = True) -> Iterator[tuple[int, memoryview]]:
    """As `batches`, but nothing is cut or copied: yields (fd, view) of many whole frames, each a length and its record.

    For those who hand frames on as they are, or decode them in C. A length has 4 bytes, little-endian, and does not
    count itself (docs/pipe-protocol.md). A view is valid until the next one is asked for.

    Raises:
        PipeError, ProtocolError, ReadError, TruncatedFrameError: as `batches`.
    """
    pipes = Pipes(fds, acknowledge=acknowledge)
    for ready in pipes.readable():
        for fd in ready:
            for view in pipes.read_frames(fd) or ():
                yield fd, view
    pipes.check_ends()


def check_fds(fds: Sequence[int]) -> None:
    """Raises PipeError unless there is at least one fd, and each is open for reading and named once."""
    if not fds:
        raise PipeError("no file descriptors of pipes: name at least one")
    seen: set[int] = set()
    for fd in fds:
        try:
            mode = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
        except (OSError, OverflowError, ValueError) as fault:
            raise PipeError(f"fd {fd}: not an open file descriptor") from fault
        if mode == os.O_WRONLY:
            raise PipeError(f"fd {fd}: open for writing only, a pipe's read end is needed")
        if fd in seen:
            raise PipeError(f"fd {fd}: named twice")
        seen.add(fd)


def _is_regular_file(fd: int) -> bool:
    return stat.S_ISREG(os.fstat(fd).st_mode)


def _watch(epoll: select.epoll, fd: int) -> None:
    try:
        epoll.register(fd, select.EPOLLIN)
    except OSError as fault:
        raise PipeError(f"fd {fd}: cannot be waited for beside other pipes: {fault.strerror}") from fault
