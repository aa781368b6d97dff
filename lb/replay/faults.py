"""Faults that a server is asked for: what happens, and after how much. No I/O, no clock.

A fault happens once, in whichever session is the first to have come so far. Any thread may ask.
"""

import argparse
import enum
import math
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from lb.numbers import above_zero, quoted, seconds, whole

AnyKind = TypeVar("AnyKind", bound=enum.Enum)
AnyValue = TypeVar("AnyValue")


class Kind(enum.Enum):
    """What happens to the session. The next one goes on with the very next record."""

    DROP = "drop"
    """Its stream ends without a close frame."""
    RESET = "reset"
    """Its connection is reset (TCP RST): what the client has not read yet is lost."""
    STALL = "stall"
    """Nothing is sent and nothing read, for some seconds or for ever: no data, no pongs."""
    SLOW = "slow"
    """From now on some bytes a second, a few at a time."""
    CLOSE = "close"
    """A close frame of some code."""
    AUTH_FAILED = "auth_failed"
    """Its stream ends, and the next authentications are refused."""
    MAX_CONNECTIONS = "max_connections"
    """The status max_connections, and close 1008: somebody else has used the key."""


@dataclass(frozen=True)
class Fault:
    """Due after so many records of the tape, or so many seconds after its start. `value` is of the kind's own unit."""

    kind: Kind
    after_records: int | None
    after_s: float | None
    value: float = 0

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Reads AFTER:KIND[=VALUE], such as `10s:reset`, `5000:close=1012`. Raises argparse.ArgumentTypeError."""
        return cls(*read_fault(text, _VALUES))


def read_fault(
    text: str, values: Mapping[AnyKind, tuple[Callable[[str], AnyValue] | None, AnyValue]]
) -> tuple[AnyKind, int | None, float | None, AnyValue]:
    """AFTER:KIND[=VALUE] as kind, records, seconds (one of them is None), value. `values`: of each kind, what reads a
    value, None where it takes none, and what it is where none is given. Raises argparse.ArgumentTypeError."""
    after, colon, what = text.partition(":")
    name, equals, value = what.partition("=")
    kind = next((kind for kind in values if kind.value == name), None)
    if not colon or kind is None:
        kinds = ", ".join(kind.value for kind in values)
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not AFTER:KIND[=VALUE] with one of {kinds}")
    read, default = values[kind]
    if equals and read is None:
        raise argparse.ArgumentTypeError(f"{kind.value} takes no value")
    return kind, *_read_after(after), read(value) if equals and read is not None else default


def _read_after(text: str) -> tuple[int | None, float | None]:
    if text.endswith("s"):
        return None, seconds(text[:-1])
    return whole("records", 0)(text), None


def close_code(text: str) -> int:
    """A code that a close frame may have. Raises argparse.ArgumentTypeError."""
    code = whole("as a close code", 1000, 4999)(text)
    if 1004 <= code <= 1006 or 1015 <= code < 3000:
        raise argparse.ArgumentTypeError(f"{code} is no code that a close frame may have (RFC 6455 section 7.4)")
    return code


_VALUES: dict[Kind, tuple[Callable[[str], float] | None, float]] = {
    Kind.DROP: (None, 0),
    Kind.RESET: (None, 0),
    Kind.STALL: (above_zero, math.inf),
    Kind.SLOW: (whole("bytes/s", 1), 1000),
    Kind.CLOSE: (close_code, 1011),
    Kind.AUTH_FAILED: (whole("times", 1), 1),
    Kind.MAX_CONNECTIONS: (None, 0),
}


class Faults:
    """Those that have not happened yet; shared by all sessions of a server."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._left = list(faults)
        self._refusals = 0
        for fault in [one for one in self._left if one.kind is Kind.AUTH_FAILED and not one.after_records]:
            if not fault.after_s:  # from the very first on
                self._left.remove(fault)
                self.refuse(int(fault.value))

    def take(self, records: int, elapsed_s: float) -> Fault | None:
        """One that is due, and will not come again."""
        with self._lock:
            for fault in self._left:
                if _is_due(fault, records, elapsed_s):
                    self._left.remove(fault)
                    return fault
            return None

    def records_left(self, records: int) -> float:
        """How many more records until the next one that is due by records."""
        with self._lock:
            return min((fault.after_records - records for fault in self._left if fault.after_records), default=math.inf)

    def next_s(self) -> float:
        """How long after the tape's start the next one is due that is due by time."""
        with self._lock:
            return min((fault.after_s for fault in self._left if fault.after_s is not None), default=math.inf)

    def refuse(self, times: int) -> None:
        """The next so many authentications are refused."""
        with self._lock:
            self._refusals += times

    def take_refusal(self) -> bool:
        with self._lock:
            if not self._refusals:
                return False
            self._refusals -= 1
            return True


def _is_due(fault: Fault, records: int, elapsed_s: float) -> bool:
    if fault.after_s is not None:
        return elapsed_s >= fault.after_s
    assert fault.after_records is not None
    return records >= fault.after_records
