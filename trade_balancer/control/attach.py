"""Joins a running lb as a reader: a pipe of one's own, with the records of the topics that one asks for.

Law: the pipe is like a worker's, and everything reads it that reads a worker's. It ends when the reader says so, or lb
ends. A reader that is too slow loses records, which are counted, and never delays lb.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Literal

from trade_balancer.control import Control
from trade_balancer.errors import NoBalancerError
from trade_balancer.pipes import OF_READERS

Policy = Literal["drop-oldest", "drop-newest"]

_RETRY_S = 0.1


class Attached:
    """A reader of a running lb; see `attach`."""

    def __init__(self, path: str | os.PathLike[str], asked: dict[str, object]) -> None:
        self._path = path
        self._asked = asked
        self._join()

    def _join(self) -> None:
        self._control = Control(self._path)
        try:
            result = self._control.ask("attach", self._asked)
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

    def leave(self) -> dict[str, int]:
        """lb writes no more, and the pipe ends behind what is in it. Returns the counts up to then; empty where lb has
        ended before. The second time, they are returned again."""
        if not self._has_left:
            self._has_left = True
            with contextlib.suppress(NoBalancerError):
                self._counts = self.counts()
            self._control.close()
        return self._counts

    def reattach(self, within_s: float | None = None) -> float:
        """Where lb has ended: waits until one serves the path again, and attaches as before, with another pipe.

        Returns for how long (s) that took; what came meanwhile is not seen.

        Raises:
            NoBalancerError: none has come within so many seconds.
        """
        self.close()
        began_s = time.monotonic()
        while True:
            try:
                self._join()
            except NoBalancerError:
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

    def __enter__(self) -> Attached:
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
    asked: dict[str, object] = {"topics": list(topics), "policy": policy, "markers": markers}
    return Attached(path, asked | {"pipe_size": pipe_size, "backlog": backlog})


def attached_of_command_line(argv: Sequence[str]) -> Attached | None:
    """The reader that `--attach PATH [--topics TOPICS]` among the words of a worker's command line asks for; None where
    they do not. It leaves on SIGINT and SIGTERM: then its pipe ends, and the worker finishes.

    Raises:
        NoBalancerError, RefusedError: as `attach`.
    """
    if "--attach" not in argv[1:-1]:
        return None
    path = argv[argv.index("--attach") + 1]
    words = [word for option, word in itertools.pairwise(argv) if option == "--topics"]
    reader = attach(path, [topic for word in words for topic in word.split(",") if topic] or ["*"])
    leave_on_signals(reader)
    return reader


def leave_on_signals(reader: Attached) -> None:
    """On SIGINT and SIGTERM the reader leaves: its pipe ends behind what is in it."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        reader.leave()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)
