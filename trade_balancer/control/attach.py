"""Joins a running lb as a reader: a pipe of one's own, with the records of the topics that one asks for.

Law: the pipe is like a worker's, and everything reads it that reads a worker's. It ends when the reader says so, or lb
ends. A reader that is too slow loses records, which are counted, and never delays lb.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType, TracebackType
from typing import Literal, Protocol, Self, TypeVar

from trade_balancer.command import topics_of
from trade_balancer.control import Control
from trade_balancer.errors import NoBalancerError, RefusedError, UsageError, tell
from trade_balancer.pipes import OF_READERS
from trade_balancer.signals import is_free

Policy = Literal["drop-oldest", "drop-newest"]

_RETRY_S = 0.1
_NOT_NOW = ("not-possible", "too-many")
"""What lb says while it stops, and while others take all the room: what comes next may differ."""


class Attached:
    """A reader of a running lb; see `attach`."""

    def __init__(self, path: str | os.PathLike[str], topics: Sequence[str], asked: Mapping[str, object]) -> None:
        self._path = path
        self._topics = list(topics)
        self._asked = asked
        self._join()

    def _join(self) -> None:
        self._pid = os.getpid()
        self._control = Control(self._path)
        try:
            result = self._control.ask("attach", {"topics": self._topics, **self._asked})
            self.fd = self._control.take_fd()
            OF_READERS.add(self.fd)
        except BaseException:
            self._control.close()
            raise
        self._has_left = False
        self._counts: dict[str, int] = {}
        self.number = int(result["reader"])
        self.pipe_size_bytes = int(result["pipe_size"])

    @property
    def fds(self) -> list[int]:
        """What `batches`, `records`, `columns` and `run` take."""
        return [self.fd]

    def counts(self) -> dict[str, int]:
        """Of this reader: offered_total = delivered_total + waiting_records + dropped_total.

        Raises:
            NoBalancerError: lb has ended.
        """
        readers = self._control.ask("status")["readers"]
        return next((dict(reader) for reader in readers if reader["reader"] == self.number), {})

    def change(self, *, add: Sequence[str] = (), remove: Sequence[str] = (), again: Sequence[str] = ()) -> None:
        """Other topics, in the same pipe: what is in there stays, and nothing of the others is lost. The feed begins
        anew with those of `again`, which this reader has: some tell the whole of a thing then.

        Raises:
            NoBalancerError: lb has ended.
            RefusedError: a topic is none of the feed's, or there is no room for so many.
        """
        changes = {"add": list(add), "remove": list(remove), "again": list(again)}
        self._control.ask("topics", {"reader": self.number, **{name: some for name, some in changes.items() if some}})
        left = [topic for topic in self._topics if topic not in remove]
        self._topics = [*dict.fromkeys([*left, *add])]

    def leave(self) -> dict[str, int]:
        """lb writes no more, and the pipe ends behind what is in it. Returns the counts up to then; empty where lb has
        ended before. The second time, they are returned again. In a forked process nothing happens: the reader is its
        parent's."""
        if not self._has_left and os.getpid() == self._pid:
            self._has_left = True
            with contextlib.suppress(NoBalancerError):
                self._counts = self.counts()
            self._control.end()
        return self._counts

    def reattach(self, within_s: float | None = None) -> float:
        """Where lb has ended: waits until one serves the path again, and attaches as before, with another pipe.

        Returns for how long (s) that took; what came meanwhile is not seen.

        Raises:
            NoBalancerError, RefusedError: none has come within so many seconds, or none with room for us.
        """
        self.close()
        began_s = time.monotonic()
        while True:
            try:
                self._join()
            except (NoBalancerError, RefusedError) as fault:
                if isinstance(fault, RefusedError) and fault.name not in _NOT_NOW:
                    raise
                if within_s is not None and time.monotonic() - began_s > within_s:
                    raise
                time.sleep(_RETRY_S)
            else:
                return time.monotonic() - began_s

    def close(self) -> None:
        """Leaves, and closes the pipe. The second time, nothing happens."""
        self.leave()
        if self.fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self.fd)
            OF_READERS.discard(self.fd)
            self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def attach(
    path: str | os.PathLike[str],
    topics: Sequence[str],
    *,
    policy: Policy = "drop-oldest",
    markers: bool = False,
    pipe_size: int = 1 << 20,
    backlog: int = 1 << 20,
) -> Attached:
    """Joins the lb whose control socket is `path`, and reads what it gets of `topics`:

        with attach("/run/lb.sock", ["T.AAPL", "Q.*"]) as reader:
            for fd, records in batches(reader.fds):
                ...

    Args:
        topics: as in --subscribe, or "*" for all that lb gets. What lb does not get yet, it subscribes.
        policy: what is dropped where pipe and backlog are full: the older half of the backlog, or what comes.
        markers: a record {"ev":"lb","dropped":N} in the place of what was dropped.
        pipe_size: bytes; the system may grant less.
        backlog: bytes that may wait in lb.

    Raises:
        NoBalancerError: no lb serves this path.
        RefusedError: it does not serve us, or has no room for another reader.
    """
    asked = {"policy": policy, "markers": markers, "pipe_size": pipe_size, "backlog": backlog}
    return Attached(path, topics, asked)


def add_options(parser: argparse.ArgumentParser) -> None:
    """--attach and --topics, of a program that else reads the pipes that its command line names."""
    parser.add_argument(
        "--attach",
        metavar="PATH",
        help="instead of FDs: be a reader of the lb that serves the control socket PATH, until SIGINT or SIGTERM",
    )
    parser.add_argument(
        "--topics",
        metavar="TOPICS",
        action="append",
        help="with --attach: comma-separated, such as T.AAPL,Q.*; may be repeated (default: all that lb gets)",
    )


def attached(path: str | None, topics: Sequence[str] | None) -> contextlib.AbstractContextManager[Attached | None]:
    """The reader that these options ask for; None where they do not. It leaves on SIGINT and SIGTERM: then its pipe
    ends, and the program finishes. At the end it is told what the reader was too slow for.

    Raises:
        NoBalancerError, RefusedError: as `attach`.
        UsageError: --topics without --attach.
    """
    if path is None:
        if topics:
            raise UsageError("--topics is for --attach")
        return contextlib.nullcontext()
    wanted = topics_of(topics or ()) or ["*"]
    return _telling(until_signals(lambda: attach(path, wanted)))


@contextlib.contextmanager
def _telling(attaching: contextlib.AbstractContextManager[Attached]) -> Iterator[Attached]:
    with attaching as reader:
        yield reader
        if dropped := reader.leave().get("dropped_total"):
            tell(f"{dropped} records dropped: too slow for lb")


class Leaving(Protocol):
    """What can be left, and ends then."""

    def leave(self) -> object: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> object: ...


_Joined = TypeVar("_Joined", bound=Leaving)


@contextlib.contextmanager
def until_signals(join: Callable[[], _Joined]) -> Iterator[_Joined]:
    """The reader, or the like, that `join` makes. On SIGINT and SIGTERM it leaves: its pipe ends behind what is in it.
    The second one ends the process. A signal for which the program has a handler of its own is left alone.
    """
    reader: _Joined | None = None
    is_over = False

    def leave(number: int, _frame: FrameType | None) -> None:
        nonlocal is_over
        signal.signal(number, signal.SIG_DFL)
        is_over = True
        if reader is not None:
            reader.leave()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if is_free(number):
                signal.signal(number, leave)
    with join() as joined:
        reader = joined
        if is_over:  # it came before there was a reader that could leave
            joined.leave()
        yield joined
