"""Rows on their way to a database: kept until they are there, tried again while it is away.

Law: no row is let go of before the transaction that has it is committed. Beyond a bound nothing is read any more, and
the pipe's back-pressure, and lb's policy for that, decide.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sized

from trade_balancer.errors import OutputError, tell
from trade_balancer.sql_store import Store, StoreGoneError
from trade_balancer.sql_tables import SqlTable

TRANSACTION_ROWS = 20_000
"""About; as soon as there are so many, they are written."""
_LATEST_S = 1.0
"""How long rows wait, at most, for others."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0


class RowQueue:
    """Rows that are not in the database yet; `rows` of them. `stored_total` and `added_total` count those that are:
    all of them, and without those that were there before.

    Args:
        store: where they go.
        most_rows: how many may wait while the database is away.
        last_s: for how many seconds it is tried again at the end.
        clock, sleep: monotonic, in seconds.
    """

    def __init__(
        self,
        store: Store,
        most_rows: int,
        last_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rows = 0
        self.stored_total = 0
        self.added_total = 0
        self._store = store
        self._most_rows = most_rows
        self._last_s = last_s
        self._clock = clock
        self._sleep = sleep
        self._waiting: deque[tuple[SqlTable, Sized]] = deque()
        self._since_s = 0.0
        self._away_since_s: float | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._again_s = 0.0

    def put(self, table: SqlTable, rows: Sized) -> None:
        if not self.rows:
            self._since_s = self._clock()
        self._waiting.append((table, rows))
        self.rows += len(rows)

    def tick(self) -> None:
        """Writes what is due; waits for the database if there is no room for more. To be called after each read.

        Raises:
            OutputError: the database can't be written, and will not be by trying again.
        """
        while self._is_due():
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
        while self.rows:
            wait_s = self._again_s - self._clock()
            if wait_s > 0:
                self._sleep(wait_s)
            fault = self._try()
            if fault and self._clock() >= end_s:
                raise OutputError(f"{fault}; given up after {self._last_s:g} s")

    def _is_due(self) -> bool:
        return self.rows >= TRANSACTION_ROWS or (self.rows > 0 and self._clock() - self._since_s >= _LATEST_S)

    def _try(self) -> StoreGoneError | None:
        """One transaction."""
        count, taken = 0, 0
        rows: dict[SqlTable, list[Sized]] = {}
        for table, some in self._waiting:
            rows.setdefault(table, []).append(some)
            count += len(some)
            taken += 1
            if count >= TRANSACTION_ROWS:
                break
        try:
            self.added_total += self._store.write(rows)
        except StoreGoneError as fault:
            self._note_away(fault)
            return fault
        self._note_back()
        for _ in range(taken):
            self._waiting.popleft()
        self.rows -= count
        self.stored_total += count
        self._since_s = self._clock()
        return None

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
