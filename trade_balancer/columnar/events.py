"""The events that have tables: their members on the wire, and which columns those can become.

Law: the wire's own names and order; what a member means stands in the docstring of its table (tables.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

EXACT = ".exact"
"""Behind the name of a decimal: its exact form instead of the nearest double."""


class Kind(Enum):
    """What values a column has: their kind in memory (C's enum columns_kind), Arrow's format and the unit of times.

    Times count from 1970-01-01 UTC on.
    """

    SYMBOL = ("SYMBOL", "", None)
    TEXT = ("TEXT", "", None)
    INT32 = ("INT32", "", None)
    INT64 = ("INT64", "", None)
    TIME_MS = ("INT64", "tsm:UTC", "ms")
    TIME_NS = ("INT64", "tsn:UTC", "ns")
    DECIMAL = ("FLOAT64", "", None)
    EXACT = ("EXACT", "", None)
    INTS = ("INTS", "", None)
    BOOL = ("BOOL", "", None)

    def __init__(self, in_memory: str, arrow_format: str, unit: str | None) -> None:
        self.in_memory = in_memory
        self.arrow_format = arrow_format
        self.unit = unit


@dataclass(frozen=True)
class Column:
    """A column by its name, the member whose values it has, and their kind."""

    name: str
    member: str
    kind: Kind


def _columns(**kinds: Kind) -> tuple[Column, ...]:
    return tuple(Column(name, name, kind) for name, kind in kinds.items())


_AGGREGATE = _columns(
    sym=Kind.SYMBOL, v=Kind.DECIMAL, av=Kind.DECIMAL, op=Kind.DECIMAL, vw=Kind.DECIMAL, o=Kind.DECIMAL, c=Kind.DECIMAL,
    h=Kind.DECIMAL, l=Kind.DECIMAL, a=Kind.DECIMAL, z=Kind.DECIMAL, s=Kind.TIME_MS, e=Kind.TIME_MS, dv=Kind.DECIMAL,
    dav=Kind.DECIMAL, n=Kind.INT64, otc=Kind.BOOL,
)  # fmt: skip

EVENTS: dict[str, tuple[Column, ...]] = {
    "T": _columns(
        sym=Kind.SYMBOL, i=Kind.TEXT, x=Kind.INT32, p=Kind.DECIMAL, s=Kind.DECIMAL, c=Kind.INTS, t=Kind.TIME_MS,
        pt=Kind.TIME_MS, q=Kind.INT64, z=Kind.INT32, trfi=Kind.INT32, trft=Kind.TIME_MS, ds=Kind.DECIMAL,
    ),
    "Q": _columns(
        sym=Kind.SYMBOL, c=Kind.INTS, i=Kind.INTS, bx=Kind.INT32, ax=Kind.INT32, bp=Kind.DECIMAL, ap=Kind.DECIMAL,
        bs=Kind.DECIMAL, t=Kind.TIME_MS, pt=Kind.TIME_MS, q=Kind.INT64, z=Kind.INT32, bt=Kind.TIME_MS, at=Kind.TIME_MS,
        **{"as": Kind.DECIMAL},
    ),
    "A": _AGGREGATE,
    "AM": _AGGREGATE,
    "XT": _columns(
        pair=Kind.SYMBOL, p=Kind.DECIMAL, t=Kind.TIME_MS, s=Kind.DECIMAL, c=Kind.INTS, i=Kind.TEXT, x=Kind.INT32,
        r=Kind.TIME_MS,
    ),
    "XQ": _columns(
        pair=Kind.SYMBOL, lp=Kind.DECIMAL, ls=Kind.DECIMAL, bp=Kind.DECIMAL, bs=Kind.DECIMAL, ap=Kind.DECIMAL,
        t=Kind.TIME_MS, x=Kind.INT32, r=Kind.TIME_MS, **{"as": Kind.DECIMAL},
    ),
    "C": _columns(p=Kind.SYMBOL, i=Kind.INTS, a=Kind.DECIMAL, b=Kind.DECIMAL, x=Kind.INT32, t=Kind.TIME_MS),
    "V": _columns(val=Kind.DECIMAL, T=Kind.SYMBOL, t=Kind.TIME_MS),
    "LULD": _columns(
        h=Kind.DECIMAL, l=Kind.DECIMAL, i=Kind.INTS, z=Kind.INT32, T=Kind.SYMBOL, t=Kind.TIME_NS, q=Kind.INT64
    ),
    "FMV": _columns(fmv=Kind.DECIMAL, sym=Kind.SYMBOL, t=Kind.TIME_NS),
}  # fmt: skip
"""Each event's members in the order of the wire, as far as they are known (2026)."""


def choose(names: Sequence[str], events: Sequence[str] | None = None) -> dict[str, tuple[Column, ...]]:
    """The columns of each event that are asked for, in the order of `names`; an event without any is left out.

    Args:
        names: of columns; none for every member as it comes.
        events: those that may have tables; all, if None.

    Raises:
        ValueError: a name that no such event has, or an event that has no table, or one of them twice.
    """
    asked = list(EVENTS) if events is None else list(events)
    for event in asked:
        if event not in EVENTS:
            raise ValueError(f"event {event!r} has no table: there are {', '.join(EVENTS)}")
    for things in (names, asked):
        if len(set(things)) < len(things):
            raise ValueError(
                f"named twice: {', '.join(sorted({thing for thing in things if things.count(thing) > 1}))}"
            )
    possible = {event: _possible(event) for event in asked}
    for name in names:
        if not any(name in columns for columns in possible.values()):
            known = sorted(set().union(*possible.values()))
            raise ValueError(f"no column {name!r} in {', '.join(asked)}: there are {', '.join(known)}")
    if not names:
        return {event: EVENTS[event] for event in asked}
    chosen = {event: tuple(columns[name] for name in names if name in columns) for event, columns in possible.items()}
    return {event: columns for event, columns in chosen.items() if columns}


def _possible(event: str) -> dict[str, Column]:
    columns = {column.name: column for column in EVENTS[event]}
    for column in EVENTS[event]:
        if column.kind is Kind.DECIMAL:
            name = column.name + EXACT
            columns[name] = Column(name, column.member, Kind.EXACT)
    return columns
