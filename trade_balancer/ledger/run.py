"""`lb-ledger run`: the worker of lb. Records of pipes, in batches, into the ledger.

Law: what was acknowledged is in the database. What is not is given out again by `lb --redeliver`, and done once: the
database knows how far each pipe is.
"""

from __future__ import annotations

import gc
import os
import select
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from trade_balancer.acknowledgement import Unfinished
from trade_balancer.channel import first_number, wants_acknowledgement
from trade_balancer.ledger.ledger import Ledger
from trade_balancer.ledger.shard import Part
from trade_balancer.pipes import Pipes

IDLE_S = 0.05
"""Between two looks at what other shards have, while nothing comes."""


def keep_garbage_collector_away() -> None:
    """What a batch makes is in no circles, and is gone with it: to look for circles among it, thousands of times a
    second, is an eighth of all work. From now on that is done when a million things are left."""
    gc.freeze()
    gc.set_threshold(1_000_000)


class Pace(NamedTuple):
    """What is put into one transaction of the database: what has come, but no more than this."""

    most_records: int = 10_000
    most_s: float = 0.01
    """For so long records are collected at most, where more of them come all the time."""


class PipeSource:
    """The pipes that lb has given to this process."""

    def __init__(self, fds: Sequence[int], pace: Pace) -> None:
        self._pipes = Pipes(fds, acknowledge=False)
        self._pace = pace
        self._run = os.environ.get("LB_RUN", "")
        self._unfinished = Unfinished()
        self._unfinished.watch(self._pipes.cutters)
        self._poll = select.poll()
        for fd in fds:
            self._poll.register(fd, select.POLLIN)
        self._open = len(fds)

    def batches(self) -> Iterator[list[Part]]:
        """Until all pipes have ended. A batch is finished, and acknowledged, when the next one is asked for; an empty
        one comes while nothing does."""
        while self._open:
            parts = self._collect()
            mark = self._unfinished.mark()
            yield parts
            self._unfinished.finish(mark)

    def check_ends(self) -> None:
        """Raises TruncatedFrameError."""
        self._pipes.check_ends()

    def _collect(self) -> list[Part]:
        """What is there. More than that is not waited for: what comes meanwhile is the next batch, and the larger the
        longer this one takes."""
        parts: list[Part] = []
        records, end_s = 0, 0.0
        while self._open and records < self._pace.most_records:
            ready = self._poll.poll(0 if parts else IDLE_S * 1000)
            if not ready or (parts and time.monotonic() >= end_s):
                break
            end_s = end_s or time.monotonic() + self._pace.most_s
            for fd, _ in ready:
                if part := self._read(fd):
                    parts.append(part)
                    records += len(part.records)
        return parts

    def _read(self, fd: int) -> Part | None:
        records = self._pipes.read(fd)
        if records is None:
            self._poll.unregister(fd)
            self._open -= 1
        if not records:
            return None
        first = first_number(fd) + self._pipes.cutters[fd].records_total - len(records)
        # Without redelivery numbers begin anew with each process: they tell nothing.
        return Part(f"lb:{self._run}:{fd}" if wants_acknowledgement(fd) else None, first, records)


def run(ledger: Ledger, batches: Iterable[list[Part]]) -> None:
    """Until the source has ended."""
    for parts in batches:
        if parts:
            ledger.take(parts)
        ledger.tend()
