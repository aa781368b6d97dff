"""The events that are shown, and what of each: the shape of a value on the wire.

Law: a topic is `EVENT.SYMBOL`, as at the vendor's; `EVENT.*` is all of an event, `*` all there is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass

ALL = "*"
_LONGEST_SYMBOL = 40


@dataclass(frozen=True)
class Form:
    """`members` of a record are its value, in this order; `time` is the last of them."""

    symbol: str
    members: tuple[str, ...]
    ns_per_unit: int = 1_000_000
    """Of the time."""

    @property
    def time(self) -> str:
        return self.members[-1]


_BEST = ("bp", "bs", "ap", "as", "t")
_BAR = ("o", "h", "l", "c", "v", "e")

FORMS = {
    "T": Form("sym", ("p", "s", "t")),
    "Q": Form("sym", _BEST),
    "A": Form("sym", _BAR),
    "AM": Form("sym", _BAR),
    "XT": Form("pair", ("p", "s", "t")),
    "XQ": Form("pair", _BEST),
    "C": Form("p", ("b", "a", "t")),
    "V": Form("T", ("val", "t")),
    "LULD": Form("T", ("h", "l", "t"), 1),
    "FMV": Form("sym", ("fmv", "t"), 1),
}
"""By event; what each member is stands in `trade_balancer.columnar.tables`."""

COLUMNS = tuple(dict.fromkeys(name for form in FORMS.values() for name in (form.symbol, *form.members)))
"""What is to be decoded of records."""


def topics_of(words: Iterable[str]) -> tuple[list[str], list[str]]:
    """The topics among these words, `*` as all events; and the words that are none."""
    topics: dict[str, None] = {}
    wrong = []
    for word in words:
        event, _, symbol = word.partition(".")
        if word == ALL:
            topics |= dict.fromkeys(f"{each}.{ALL}" for each in FORMS)
        elif event in FORMS and 0 < len(symbol) <= _LONGEST_SYMBOL and symbol.isprintable():
            topics[sys.intern(word)] = None  # very many clients name the same
        else:
            wrong.append(word)
    return [*topics], wrong
