"""What a ready-made worker knows about its input: how many records, of what, from where, how late.

Law: measured per batch, not per record; tallies of several processes add up to the tally of one.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson

from trade_balancer.errors import WorkerError

_NS_PER_MS = 1_000_000
_LEAST_NS_STAMP = 10**15  # in ms the year 33658, in ns January 1970: LULD, FMV and NOI stamp in ns, all else in ms


@dataclass
class Tally:
    """Totals since the start; `bytes_total` counts records without the lengths before them.

    `lags_ms` maps a lag in ms to the records that had it: the wall clock after the read minus the `t` of the batch's
    last record, taken for all of the batch. Above 1000 ms three digits are kept, which bounds the map for any input.
    `unusable` counts the records that the worker could make nothing of.
    `results` is what the worker itself counts, by keys of its own; `faults` is what ended its input early.
    """

    records_per_fd: dict[int, int] = field(default_factory=dict)
    bytes_total: int = 0
    events: Counter[str] = field(default_factory=Counter)
    lags_ms: Counter[int] = field(default_factory=Counter)
    unusable: int = 0
    results: Counter[Any] = field(default_factory=Counter)
    faults: list[WorkerError] = field(default_factory=list)

    def note_lag(self, records: list[bytes]) -> None:
        """Takes the lag of a batch that was read just now; a last record without a usable `t` has none."""
        stamp_ms = stamp_ms_of(records[-1])
        if stamp_ms is not None:
            self.note_stamp(stamp_ms, len(records))

    def note_stamp(self, stamp_ms: int, records: int) -> None:
        """Takes the lag of so many records that were read just now, the last of which was stamped with `stamp_ms`."""
        lag_ms = time.time_ns() // _NS_PER_MS - stamp_ms
        self.lags_ms[round(lag_ms, min(0, 3 - len(str(abs(lag_ms)))))] += records

    def add(self, other: Tally) -> None:
        self.records_per_fd |= other.records_per_fd
        self.bytes_total += other.bytes_total
        self.events.update(other.events)
        self.lags_ms.update(other.lags_ms)
        self.unusable += other.unusable
        self.results.update(other.results)
        self.faults += other.faults

    @property
    def records(self) -> int:
        return sum(self.records_per_fd.values())

    def summary(self) -> dict[str, Any]:
        """The object of `--summary`: totals, events, records per fd, lag in ms (null when no batch had one)."""
        lags_ms = sorted(self.lags_ms.items())
        return {
            "records": self.records,
            "bytes": self.bytes_total,
            "events": {event: records for event, records in sorted(self.events.items()) if records},
            "records_per_fd": {str(fd): records for fd, records in sorted(self.records_per_fd.items())},
            "unusable": self.unusable,
            "lag_ms": {
                "p50": _percentile(lags_ms, 50),
                "p99": _percentile(lags_ms, 99),
                "max": lags_ms[-1][0] if lags_ms else None,
            },
        }


def _percentile(weighted: list[tuple[int, int]], percent: int) -> int | None:
    """The least value that `percent` of the weight does not exceed; `weighted` is sorted (value, weight)."""
    wanted = sum(weight for _, weight in weighted) * percent
    reached = 0
    for value, weight in weighted:
        reached += weight * 100
        if reached >= wanted:
            return value
    return None


def stamp_ms_of(record: bytes) -> int | None:
    """The record's `t` in ms, whatever unit it has; None if it has none."""
    try:
        stamp = orjson.loads(record)["t"]
        return int(stamp) // _NS_PER_MS if stamp >= _LEAST_NS_STAMP else int(stamp)
    except (ValueError, TypeError, LookupError):
        return None  # no judgement here: whoever needs the record decodes it and says what is wrong
