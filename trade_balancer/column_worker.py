"""What the ready-made workers share that take columns.

Law: counted is what came, not what was decoded: a record that is in no table has an event, too.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import orjson

from trade_balancer.columnar.batch import Batch, Why
from trade_balancer.columnar.decoder import Decoder
from trade_balancer.columnar.reader import Columns
from trade_balancer.pipes import COLUMNS_READ_BYTES, Pipes
from trade_balancer.ready_made import Worker
from trade_balancer.tally import stamp_ms_of

_NS_PER_MS = 1_000_000


class ColumnWorker(Worker):
    """A worker that takes batches of columns; `names` and `events` say which, as for `columns`.

    `decoder` has the symbols.
    """

    read_bytes = COLUMNS_READ_BYTES

    def __init__(self, output: Any, names: Sequence[str] = (), events: Sequence[str] | None = None) -> None:
        super().__init__(output)
        self.decoder = Decoder(names, events)

    @abstractmethod
    def take(self, round_: list[Batch]) -> None:
        """Deals with what one round of reads brought; it is counted already. A pipe may have several batches of it."""

    def take_misfit(self, record: dict[str, Any]) -> None:
        """Deals with a record of a chosen event that has a value which does not fit its column."""

    def read(self, pipes: Pipes) -> None:
        for round_ in Columns(pipes, self.decoder).rounds(self.idle_s):
            for batch in round_:
                self._count(batch)
            self.take(round_)

    def _count(self, batch: Batch) -> None:
        events = self.tally.events
        for table in batch:
            events[table.event] += len(table)
        others = batch.others
        for number, record in enumerate(others):
            why = others.why(number)
            if why is Why.BAD:
                self.skips.undecodable(record, batch.fd, "not a JSON object")
                continue
            members = orjson.loads(record)
            event = members.get("ev")
            events[event if isinstance(event, str) else ""] += 1
            if why is Why.MISFIT:
                self.take_misfit(members)
        stamp_ms = _last_stamp_ms(batch)
        if stamp_ms is not None:
            self.tally.note_stamp(stamp_ms, len(batch))


def _last_stamp_ms(batch: Batch) -> int | None:
    """The `t` of the batch's last record, in ms."""
    last = len(batch) - 1
    for table in batch:
        if table.order[-1] == last:
            if "t" not in table.names or not table.has(len(table) - 1, "t"):
                return None
            return int(table.view("t")[-1]) // (_NS_PER_MS if table.unit("t") == "ns" else 1)
    return stamp_ms_of(batch.others[-1])
