"""Rows on their way to a database: kept until they are there, tried again while it is away.

Law: no row is let go of before the transaction that has it is committed. Beyond a bound nothing is read any more, and
the pipe's back-pressure, and lb's policy for that, decide.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence, Sized
from typing import NamedTuple

from trade_balancer.acknowledgement import Mark
from trade_balancer.errors import OutputError, tell
from trade_balancer.sql_progress import Progress
from trade_balancer.sql_store import Store, StoreGoneError
from trade_balancer.sql_tables import SqlTable

TRANSACTION_ROWS = 20_000
"""About; as soon as there are so many, they are written."""
_LATEST_S = 1.0
"""How long rows wait, at most, for others."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0


class Part(NamedTuple):
    """What one round of reads has brought, which goes into one transaction: rows, how many, and how far the pipes are
    read with them."""

    rows: Sequence[tuple[SqlTable, Sized]]
    row_count: int
    mark: Mark


class RowQueue:
    """Rows that are not in the database yet; `rows` of them. `stored_total` and `added_total` count those that are:
    all of them, and without those that were there before.

    Args:
        store: where they go.
        progress: is told how far the pipes are stored.
        most_rows: how many may wait while the database is away.
        last_s: for how many seconds it is tried again at the end.
        clock, sleep: monotonic, in seconds.
    """

    def __init__(
        self,
        store: Store,
        progress: Progress,
        most_rows: int,
        last_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rows = 0
        self.stored_total = 0
        self.added_total = 0
        self._store = store
        self._progress = progress
        self._most_rows = most_rows
        self._last_s = last_s
        self._clock = clock
        self._sleep = sleep
        self._waiting: deque[Part] = deque()
        self._tried: list[Part] = []
        """The parts of a transaction that has failed: it is tried again as it was, so that its steps are known."""
        self._since_s = 0.0
        self._away_since_s: float | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._again_s = 0.0

    def put(self, rows: Sequence[tuple[SqlTable, Sized]], mark: Mark) -> None:
        """Takes what a round of reads has brought; `mark` is how far the pipes are read with it."""
        count = sum(len(some) for _, some in rows)
        if not self._waiting:
            self._since_s = self._clock()
        self._waiting.append(Part(rows, count, mark))
        self.rows += count

    def tick(self, is_urgent: bool = False) -> None:
        """Writes what is due, all if it is urgent; waits for the database if there is no room for more. To be called
        after each read.

        Raises:
            OutputError: the database can't be written, and will not be by trying again.
        """
        while self._is_due() or (is_urgent and self._waiting):
            now_s = self._clock()
            if now_s < self._again_s:
                if self.rows < self._most_rows:
                    return
                self._sleep(self._again_s - now_s)
            self._try()

    def finish(self) -> None:
        """Writes all.

        Raises:
            OutputError: the same; or it did not come back in time. `rows` are not stored.
        """
        end_s = self._clock() + self._last_s
        while self._waiting:
            wait_s = self._again_s - self._clock()
            if wait_s > 0:
                self._sleep(wait_s)
            fault = self._try()
            if fault and self._clock() >= end_s:
                raise OutputError(f"{fault}; given up after {self._last_s:g} s")

    def _is_due(self) -> bool:
        is_late = bool(self._waiting) and self._clock() - self._since_s >= _LATEST_S
        return self.rows >= TRANSACTION_ROWS or is_late

    def _try(self) -> StoreGoneError | None:
        """One transaction."""
        parts = self._tried = self._tried or self._next_parts()
        rows: dict[SqlTable, list[Sized]] = {}
        for part in parts:
            for table, some in part.rows:
                rows.setdefault(table, []).append(some)
        try:
            self.added_total += self._store.write(rows, self._progress.steps(parts[-1].mark))
        except StoreGoneError as fault:
            self._note_away(fault)
            return fault
        self._note_back()
        self._progress.note(parts[-1].mark)
        count = sum(part.row_count for part in parts)
        for _ in parts:
            self._waiting.popleft()
        self._tried = []
        self.rows -= count
        self.stored_total += count
        self._since_s = self._clock()
        return None

    def _next_parts(self) -> list[Part]:
        parts, count = [], 0
        for part in self._waiting:
            parts.append(part)
            count += part.row_count
            if count >= TRANSACTION_ROWS:
                break
        return parts

    def _note_away(self, fault: StoreGoneError) -> None:
        now_s = self._clock()
        if self._away_since_s is None:
            self._away_since_s = now_s
            tell(f"{fault}; trying again, {self._most_rows} records are kept meanwhile, then the pipes wait")
        self._again_s = now_s + self._pause_s
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)

    def _note_back(self) -> None:
        self._pause_s = _FIRST_PAUSE_S
        if self._away_since_s is not None:
            away_s = self._clock() - self._away_since_s
            tell(f"{self._store.name} can be written again, after {away_s:.1f} s; {self.rows} records were waiting")
            self._away_since_s = None
