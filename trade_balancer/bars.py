"""`lb-bars`: open, high, low, close and volume of every second and symbol.

Law: a second is a second of event time (the record's `t`), and a bar, once written, is never written again: a trade
that comes after it is counted as late. Sizes and volumes are floats, as exact as those are.
"""

from __future__ import annotations

import sys
from operator import itemgetter
from typing import Any

from trade_balancer.decoding import decoded
from trade_balancer.output import LineOutput
from trade_balancer.pipes import Batch
from trade_balancer.ready_made import ReadyMade, serve
from trade_balancer.tally import Tally

_MS_PER_S = 1000

Trade = tuple[int, int, str, float, float]
"""Time in ms, the second it lies in, symbol, price, size."""


class Bar:
    """The bar of one symbol that is still open; `second` counts from the epoch."""

    __slots__ = ("close", "high", "low", "open", "second", "trades", "volume")

    def __init__(self, second: int, price: float, size: float) -> None:
        self.second = second
        self.open = self.high = self.low = self.close = price
        self.volume = size
        self.trades = 1

    def line(self, symbol: str) -> dict[str, Any]:
        return {
            "sym": symbol, "t": self.second * _MS_PER_S, "o": self.open, "h": self.high, "l": self.low,
            "c": self.close, "v": self.volume, "n": self.trades,
        }  # fmt: skip


class Bars(ReadyMade):
    """One open bar per symbol; a trade of a later second closes it."""

    description = """\
Makes 1-second bars of every symbol from trades (T, and XT by pair), by the time t of the trade. With several processes
the balancer has to route by symbol, else each process makes bars of its part of a symbol's trades."""
    output_help = (
        'one JSON line per bar once a later second of its symbol begins or the pipes have ended: {"sym", "t" (its '
        'start, ms since 1970), "o", "h", "l", "c", "v" (sum of ds, or of s where there is no ds), "n" (trades)}'
    )
    summary_help = (
        "; bars; late, the trades that came after their bar was written (none if the feed is in order and the balancer "
        "routes by symbol); unusable counts trades without symbol, price, time or size, too"
    )

    output: LineOutput

    def __init__(self, output: LineOutput) -> None:
        super().__init__(output)
        self._open: dict[str, Bar] = {}

    def take(self, round_: list[Batch]) -> None:
        trades: list[Trade] = []
        for fd, records in round_:
            self._add_trades(records, fd, trades)
        if len(round_) > 1:
            # Dealt round-robin, a symbol's trades are on all pipes, and behind the feed the first pipe's read would
            # close seconds that the next one's is full of. Merged, only trades between the reads' ends are late.
            trades.sort(key=itemgetter(0))
        self.output.write(self._close_bars(trades))

    def finish(self) -> None:
        still_open = sorted(self._open.items(), key=lambda item: (item[1].second, item[0]))
        self.output.write(bar.line(symbol) for symbol, bar in still_open)
        self.tally.results["bars"] += len(still_open)

    @staticmethod
    def conclude(total: Tally, output: LineOutput) -> dict[str, Any]:
        return {name: total.results[name] for name in ("bars", "late")}

    def _add_trades(self, records: list[bytes], fd: int, trades: list[Trade]) -> None:
        append = trades.append
        stock_trades = crypto_trades = 0  # plain ints: a Counter's += costs 150 ns, a sixth of all that is done here
        other_events: list[str] = []
        for record in decoded(records, fd, self.skips):
            event = record.get("ev")
            if event == "T":
                symbol_key = "sym"
                stock_trades += 1
            elif event == "XT":
                symbol_key = "pair"
                crypto_trades += 1
            else:
                other_events.append(event if type(event) is str else "")
                continue
            try:
                symbol, time_ms, size = record[symbol_key], record["t"], record.get("ds")
                if type(symbol) is not str:
                    raise TypeError
                if type(time_ms) is not int:
                    time_ms = int(time_ms)
                if size is None:
                    size = record["s"]
                append((time_ms, time_ms // _MS_PER_S, symbol, float(record["p"]), float(size)))
            except (LookupError, TypeError, ValueError, OverflowError):
                self.tally.unusable += 1
        self.tally.events.update({"T": stock_trades, "XT": crypto_trades})
        self.tally.events.update(other_events)

    def _close_bars(self, trades: list[Trade]) -> list[dict[str, Any]]:
        """Adds the trades to their bars; returns the bars that were closed by it, in that order."""
        open_bars = self._open
        closed: list[dict[str, Any]] = []
        late = 0
        for _, second, symbol, price, size in trades:
            bar = open_bars.get(symbol)
            if bar is None:
                open_bars[symbol] = Bar(second, price, size)
            elif second == bar.second:
                if price > bar.high:
                    bar.high = price
                elif price < bar.low:
                    bar.low = price
                bar.close = price
                bar.volume += size
                bar.trades += 1
            elif second > bar.second:
                closed.append(bar.line(symbol))
                open_bars[symbol] = Bar(second, price, size)
            else:
                late += 1
        self.tally.results.update(bars=len(closed), late=late)
        return closed


def main() -> int:
    """`lb-bars [--output FILE] [--summary FILE] [--processes] FD...`; returns the exit code."""
    return serve(Bars)


if __name__ == "__main__":
    sys.exit(main())
