"""Class BarMaker: trades in tables in, bars as lines of JSON out. Both are made in C.

Law: what a bar is, stands in csrc/bars.h; here it gets a face.
"""

from __future__ import annotations

import select
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntFlag
from typing import Any

from trade_balancer.columnar._columns import ffi, lib
from trade_balancer.columnar.batch import Batch
from trade_balancer.columnar.decoder import Decoder

HISTORY_MAX = lib.BARS_HISTORY_MAX

TRADES = {
    "T": {
        "symbol": "sym", "time": "t", "price": "p", "size": "s.exact", "decimal_size": "ds.exact", "conditions": "c",
    },
    "XT": {"symbol": "pair", "time": "t", "price": "p", "size": "s.exact"},
}  # fmt: skip
"""The events that are trades: which of their columns is what."""


class Update(IntFlag):
    """What a trade may do to a bar."""

    OPEN_CLOSE = lib.BARS_OPEN_CLOSE
    HIGH_LOW = lib.BARS_HIGH_LOW
    VOLUME = lib.BARS_VOLUME
    ALL = lib.BARS_ALL


class BarMaker:
    """Bars of all symbols, open until a trade of a later interval comes.

    Args:
        decoder: whose batches are taken.
        interval_ms: their length.
        history: how many closed bars of each symbol late trades may still correct; others are counted as late.
        may_update: what a trade that has a condition may do; one of several conditions forbids for all. Conditions that
            are not named, forbid nothing.
        zone: (from, offset), in ms: local time is UTC plus the offset from then on.
    """

    def __init__(
        self,
        decoder: Decoder,
        interval_ms: int,
        history: int = 0,
        may_update: Mapping[int, Update] | None = None,
        zone: Sequence[tuple[int, int]] = (),
    ) -> None:
        self._decoder = decoder
        config = ffi.new("struct bars_config *", {"interval_ms": interval_ms, "history": history})
        for condition in range(lib.BARS_CONDITIONS):
            config.may_update[condition] = (may_update or {}).get(condition, Update.ALL)
        pointer = lib.bars_new(config)
        if pointer == ffi.NULL:
            raise MemoryError("no memory for bars")
        self._bars = ffi.gc(pointer, lib.bars_free)
        self._uses_conditions = bool(may_update)
        self._counters = ffi.new("struct bars_counters *")
        if zone:
            from_ms, offset_ms = zip(*zone, strict=True)
            _check(lib.bars_set_zone(self._bars, from_ms, offset_ms, len(zone)))

    def take(self, batches: Iterable[Batch], is_merged: bool) -> None:
        """Puts trades into bars; `lines` then has those that this has closed or corrected.

        Args:
            batches: of the decoder.
            is_merged: take the trades of all of them in the order of their time.
        """
        for batch in batches:
            for event, roles in TRADES.items():
                if event in batch.events:
                    batch[event].hand_to_bars(self._bars, self._columns(batch[event].names, roles))
        _check(lib.bars_take(self._bars, is_merged))

    def finish(self) -> None:
        """Closes all bars that are open; `lines` then has them, by time and symbol."""
        _check(lib.bars_finish(self._bars, self._decoder.pointer))

    def lines(self) -> Iterator[bytes]:
        """The bars that the last call has closed or corrected as lines of JSON, whole ones in pieces of PIPE_BUF bytes.

        A line that is longer is a piece of its own.
        """
        next_bar = ffi.new("size_t *")
        room_bytes = select.PIPE_BUF
        while next_bar[0] < lib.bars_given(self._bars):
            piece = ffi.new("char []", room_bytes)
            used_bytes = lib.bars_lines(self._bars, self._decoder.pointer, next_bar, piece, room_bytes)
            if used_bytes:
                yield bytes(ffi.buffer(piece, used_bytes))
                room_bytes = select.PIPE_BUF
            else:
                room_bytes *= 2

    @property
    def bars_total(self) -> int:
        """Bars closed so far; each is counted once, however often it is corrected."""
        return int(self._counted().bars_total)

    @property
    def late_total(self) -> int:
        """Trades that came too late for any bar."""
        return int(self._counted().late_total)

    @property
    def unusable_total(self) -> int:
        """Trades without symbol, time, price or size, or with a time or size out of all bounds."""
        return int(self._counted().unusable_total)

    def _counted(self) -> Any:
        lib.bars_counters(self._bars, self._counters)
        return self._counters

    def _columns(self, names: Sequence[str], roles: Mapping[str, str]) -> dict[str, int]:
        places = {name: number for number, name in enumerate(names)}
        columns = dict.fromkeys(TRADES["T"], -1)
        columns |= {role: places[name] for role, name in roles.items() if name in places}
        if not self._uses_conditions:
            columns["conditions"] = -1
        return columns


def _check(result: int) -> None:
    if result < 0:
        raise MemoryError("no memory for bars")
