"""What Pump.run() comes back with. Law: values; what becomes of them is the balancer's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from lb.pump._pump import lib


class Wake(IntEnum):
    """Events without content."""

    BUDGET = lib.PUMP_BUDGET
    DEADLINE = lib.PUMP_DEADLINE
    SIGNAL = lib.PUMP_WAKE
    READABLE = lib.PUMP_READABLE
    EOF = lib.PUMP_EOF
    DRAINED = lib.PUMP_DRAINED


@dataclass(frozen=True, slots=True)
class Notice:
    """A record that is the venue's own word and none of the market's, as received."""

    text: bytes


@dataclass(frozen=True, slots=True)
class ControlFrame:
    """A websocket control frame: its opcode and payload."""

    opcode: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class TlsRecord:
    """A piece of a TLS record that is no application data."""

    record_type: int
    content: bytes
    is_last_piece: bool


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message that is neither an array of objects nor an object. `sample` begins at its first fault, `offset_bytes`
    into the message. Elements of an array that are no objects are skipped one by one; of any other fault, the rest."""

    fault: str
    offset_bytes: int
    sample: bytes


@dataclass(frozen=True, slots=True)
class Stalled:
    """This pipe is full, and has stopped the reading for stall_ns without interruption."""

    pipe: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """Follows Stalled(pipe): it stops the reading no more, after this time."""

    pipe: int
    stalled_ns: int


@dataclass(frozen=True, slots=True)
class PipeDrained:
    """After drain(): nothing waits for this pipe any more, and nothing will."""

    pipe: int


@dataclass(frozen=True, slots=True)
class ReaderGone:
    """Nobody reads this reader's pipe any more: it gets nothing from now on, and is to be removed."""

    reader: int


Event = Wake | Notice | ControlFrame | TlsRecord | Malformed | ReaderGone | Stalled | Resumed | PipeDrained
