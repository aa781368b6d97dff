"""`lb-bars`: open, high, low, close, volume and average price of every symbol and interval.

Law: an interval is one of event time (the record's `t`), and a bar, once written, is never written again: a trade that
comes after it is counted as late, or, with --late correct, the bar is written anew, with the number of its revision.
Volumes are exact sums of the decimals on the wire.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trade_balancer.column_worker import ColumnWorker
from trade_balancer.columnar.bars import HISTORY_MAX, TRADES, BarMaker
from trade_balancer.columnar.batch import Batch
from trade_balancer.columnar.decoder import Decoder
from trade_balancer.conditions import MAY_UPDATE
from trade_balancer.output import LineOutput
from trade_balancer.ready_made import serve
from trade_balancer.tally import Tally
from trade_balancer.zones import Zone, add_zone_option

_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_HOUR_MS, _DAY_MS = _UNITS_MS["h"], _UNITS_MS["d"]
_CORRECTED_BARS = 8
_UTC = Zone("UTC")


@dataclass(frozen=True)
class Settings:
    """What bars are made: their length; how many closed ones of a symbol are corrected; by which rules; whose days."""

    interval_ms: int = 1000
    history: int = 0
    conditions: bool = False
    zone: Zone = _UTC

    def bar_maker(self, decoder: Decoder) -> BarMaker:
        # Up to an hour, intervals are the same everywhere, and a zone's repeated hour in autumn is two of them.
        changes = self.zone.changes if self.interval_ms > _HOUR_MS else []
        return BarMaker(decoder, self.interval_ms, self.history, MAY_UPDATE if self.conditions else None, changes)


DEFAULT = Settings()


class BarOutput(LineOutput):
    """Lines, and what the bars in them are."""

    def __init__(self, path: Path | None, settings: Settings = DEFAULT) -> None:
        super().__init__(path)
        self.settings = settings


class Bars(ColumnWorker):
    """One open bar per symbol; a trade of a later interval closes it."""

    description = """\
Makes bars of every symbol from trades (T, and XT by pair), by the time t of the trade. With several processes the
balancer has to route by symbol, else each process makes bars of its part of a symbol's trades."""
    output_help = (
        'one JSON line per bar once a later interval of its symbol begins or the pipes have ended: {"sym", "t" (its '
        'start, ms since 1970), "o", "h", "l", "c", "v" (the exact sum of ds, or of s where there is no ds), "n" '
        '(trades), "vw" (price weighted by volume, null without any)}; a corrected bar has "rev" (1, 2, ...), too'
    )
    summary_help = (
        "; bars; late, the trades that came after their bar was written (none if the feed is in order and the balancer "
        "routes by symbol) and did not correct it; unusable counts trades without symbol, price, time or size, too"
    )
    output: BarOutput

    def __init__(self, output: BarOutput) -> None:
        roles = [role for role in TRADES["T"] if role != "conditions" or output.settings.conditions]
        columns = {names[role]: None for role in roles for names in TRADES.values() if role in names}
        super().__init__(output, list(columns))
        self._maker = output.settings.bar_maker(self.decoder)

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--interval", metavar="N{s,m,h,d}", type=_interval_ms, default=1000,
            help="length of the bars, a part of a day: 5s, 1m, 4h, 1d (default: 1s)",
        )  # fmt: skip
        add_zone_option(parser, "bars of more than an hour are parts of a day", "UTC")
        parser.add_argument(
            "--conditions", action="store_true",
            help="trades of stocks update open and close, high and low, and volume by the rules of the consolidated "
            "tape for their conditions, as the vendor's /v3/reference/conditions has them; o, h, l, c are null where "
            "no trade may set them (default: all update all)",
        )  # fmt: skip
        parser.add_argument(
            "--late", choices=("count", "correct"), default="count",
            help=f"what becomes of a trade that comes after its bar was written: it is counted, or the bar is written "
            f"again, corrected, if it is one of its symbol's last {_CORRECTED_BARS} (default: count)",
        )  # fmt: skip

    @staticmethod
    def open_output(options: argparse.Namespace) -> BarOutput:
        history = _CORRECTED_BARS if options.late == "correct" else 0
        return BarOutput(options.output, Settings(options.interval, history, options.conditions, options.zone))

    def take(self, round_: list[Batch]) -> None:
        # Dealt round-robin, a symbol's trades are on all pipes, and behind the feed the first pipe's read would close
        # intervals that the next one's is full of. Merged, only trades between the reads' ends are late.
        is_merged = len({batch.fd for batch in round_}) > 1
        self._maker.take(round_, is_merged)
        self.output.write_lines(self._maker.lines())

    def take_misfit(self, record: dict[str, Any]) -> None:
        self.tally.unusable += record["ev"] in TRADES

    def finish(self) -> None:
        self._maker.finish()
        self.output.write_lines(self._maker.lines())
        self.tally.results.update(bars=self._maker.bars_total, late=self._maker.late_total)
        self.tally.unusable += self._maker.unusable_total

    @staticmethod
    def conclude(total: Tally, output: LineOutput) -> dict[str, Any]:
        return {name: total.results[name] for name in ("bars", "late")}


def _interval_ms(text: str) -> int:
    match = re.fullmatch(r"([1-9]\d*)([smhd])", text)
    length_ms = int(match[1]) * _UNITS_MS[match[2]] if match else 0
    if not length_ms or _DAY_MS % length_ms:
        raise argparse.ArgumentTypeError(f"{text!r} is not a part of a day: 1s, 5s, 1m, 15m, 1h, 4h, 1d")
    return length_ms


def main() -> int:
    """`lb-bars [OPTIONS] FD...`; returns the exit code."""
    assert _CORRECTED_BARS <= HISTORY_MAX
    return serve(Bars)


if __name__ == "__main__":
    sys.exit(main())
