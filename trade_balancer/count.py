"""`lb-count`: how many records of each event and symbol came.

Law: exact for every record. The head alone is read where it is proof enough, everything else is decoded.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from typing import Any

import orjson

from trade_balancer.decoding import Record, decoded
from trade_balancer.output import LineOutput
from trade_balancer.pipes import Batch
from trade_balancer.ready_made import ReadyMade, serve
from trade_balancer.tally import Tally

# The layouts that begin with event and symbol. No backslash is let through, so the next quote does end the symbol.
# 170 ns a record, against 600 ns for decoding it.
_head = re.compile(rb'\{"ev":"(?:[TQA]","sym|AM","sym|X[TQA]","pair)":"[ !#-\[\]-~]+"').match

_SYMBOL_KEYS = frozenset(("sym", "pair", "T", "p"))  # T in LULD, V and NOI; p in C, elsewhere it is a price: a number


class Count(ReadyMade):
    """Records per event and symbol, written at the end as {"ev", "symbol", "records"}."""

    description = "Counts the records of each event and symbol."
    output_help = (
        'one JSON line per event and symbol when the pipes have ended: {"ev":"T","symbol":"AAPL","records":N}; '
        '"" stands for a missing event, null for a missing symbol'
    )

    output: LineOutput

    def __init__(self, output: LineOutput) -> None:
        super().__init__(output)
        self._heads: Counter[bytes] = Counter()

    def take(self, round_: list[Batch]) -> None:
        for fd, records in round_:
            heads = [match[0] for match in map(_head, records) if match]
            self._heads.update(heads)
            if len(heads) < len(records):
                others = [record for record in records if not _head(record)]
                self.tally.results.update(map(event_and_symbol, decoded(others, fd, self.skips)))

    def finish(self) -> None:
        results = self.tally.results
        for head, records in self._heads.items():
            results[event_and_symbol(orjson.loads(head + b"}"))] += records
        for (event, _), records in results.items():
            self.tally.events[event] += records

    @staticmethod
    def conclude(total: Tally, output: LineOutput) -> dict[str, Any]:
        by_name = sorted(total.results.items(), key=lambda item: (item[0][0], item[0][1] or ""))
        output.write({"ev": event, "symbol": symbol, "records": records} for (event, symbol), records in by_name)
        return {}


def event_and_symbol(record: Record) -> tuple[str, str | None]:
    """The record's event, "" without one, and its symbol: the first string in it that is called sym, pair, T or p."""
    event = record.get("ev")
    symbols = (value for key, value in record.items() if key in _SYMBOL_KEYS and isinstance(value, str))
    return event if isinstance(event, str) else "", next(symbols, None)


def main() -> int:
    """`lb-count [--output FILE] [--summary FILE] [--processes] FD...`; returns the exit code."""
    return serve(Count)


if __name__ == "__main__":
    sys.exit(main())
