"""Faults that the fake of a venue is asked for: what happens, and after how much. No I/O, no clock.

As of a tape (`faults`): each happens once, in whichever session is the first to have come so far.
"""

import argparse
import enum
import math
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lb.numbers import above_zero, whole
from lb.replay.faults import close_code, read_fault


class VenueKind(enum.Enum):
    GAP = "gap"
    DUPLICATE = "duplicate"
    CROSSED = "crossed"
    BAD_CHECKSUM = "bad-checksum"
    SILENT = "silent"
    STALL = "stall"
    DROP = "drop"
    CLOSE = "close"
    FAREWELL = "farewell"
    LIFE = "life"
    OLD_SNAPSHOT = "old-snapshot"
    TOO_MANY_REQUESTS = "429"


Value = str | float | None


@dataclass(frozen=True)
class VenueFault:
    """Due after so many messages of streams, or so many seconds after the first session's opening. `value` is a symbol
    or a number, by its kind; None is any symbol."""

    kind: VenueKind
    after_messages: int | None
    after_s: float | None
    value: Value = None

    @classmethod
    def parse(cls, text: str) -> "VenueFault":
        """Reads AFTER:KIND[=VALUE], such as `10s:drop`, `500:gap=ETH-BTC`. Raises argparse.ArgumentTypeError."""
        fault = cls(*read_fault(text, _VALUES))
        if fault.kind in _NEEDED and not fault.value:
            raise argparse.ArgumentTypeError(f"{fault.kind.value} needs a value: {_NEEDED[fault.kind]}")
        return fault


_VALUES: dict[VenueKind, tuple[Callable[[str], str | float] | None, Value]] = {
    VenueKind.GAP: (str, None),
    VenueKind.DUPLICATE: (str, None),
    VenueKind.CROSSED: (str, None),
    VenueKind.BAD_CHECKSUM: (str, None),
    VenueKind.SILENT: (str, None),
    VenueKind.STALL: (above_zero, math.inf),
    VenueKind.DROP: (None, None),
    VenueKind.CLOSE: (close_code, 1001),
    VenueKind.FAREWELL: (None, None),
    VenueKind.LIFE: (above_zero, None),
    VenueKind.OLD_SNAPSHOT: (whole("snapshots", 1), 1),
    VenueKind.TOO_MANY_REQUESTS: (whole("requests", 1), 1),
}


_NEEDED = {VenueKind.SILENT: "silent=SYMBOL", VenueKind.LIFE: "life=S"}


class Plan:
    """Faults that have not happened yet, and how far the sessions have come. Any thread may ask."""

    def __init__(self, faults: Iterable[VenueFault] = ()) -> None:
        self._lock = threading.Lock()
        self._left = list(faults)
        self._messages = 0
        self._start_ns: int | None = None
        self.life_s = math.inf
        """How old a session may get."""

    @property
    def is_over(self) -> bool:
        """Nothing is left."""
        return not self._left

    def begin(self, now_ns: int) -> None:
        """A session has opened at this monotonic time; the first one counts."""
        with self._lock:
            self._start_ns = now_ns if self._start_ns is None else self._start_ns

    def count_message(self) -> None:
        """One is to be sent."""
        with self._lock:
            self._messages += 1

    def take(self, now_ns: int) -> VenueFault | None:
        """One that is due, and will not come again."""
        with self._lock:
            for fault in self._left:
                if self._is_due(fault, now_ns):
                    self._left.remove(fault)
                    return fault
            return None

    def next_ns(self) -> float:
        """Monotonic time at which the next one is due that is due by time."""
        with self._lock:
            start_ns = math.inf if self._start_ns is None else self._start_ns
            return min(
                (start_ns + one.after_s * 1e9 for one in self._left if one.after_s is not None), default=math.inf
            )

    def _is_due(self, fault: VenueFault, now_ns: int) -> bool:
        if fault.after_s is not None:
            return self._start_ns is not None and now_ns >= self._start_ns + fault.after_s * 1e9
        assert fault.after_messages is not None
        return self._messages >= fault.after_messages
