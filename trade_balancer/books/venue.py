"""What differs from one venue's order books to the next, under one name. Law: no I/O, no clock.

A new venue is a file in venues/ with one of these, a form of messages in csrc/, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from trade_balancer.books.books import Form, Rule
from trade_balancer.books.summary import Decimals


class VenueSymbol(NamedTuple):
    """A symbol as a venue has it: its name in messages, and the decimals of its prices and sizes."""

    name: str
    decimals: Decimals
    is_trading: bool


class Request(NamedTuple):
    """Of the venue's REST: what stands behind the base URL, and what it costs of the budget."""

    path: str
    weight: int


@dataclass(frozen=True, slots=True)
class BookVenue:
    """`topics`: what is subscribed at lb for a symbol by its name, for its best levels or (True) its whole book; `rule`
    how such a book keeps in step, `depth` how many levels of it are kept (0: all).

    `table` is the venue's answer to the request `symbols` as canonical symbols (BTC-USD). It may raise any of KeyError,
    TypeError and ValueError.

    `snapshot`: the request for a symbol's book, None where the venue has none or none is needed. Where whole books come
    each time it is asked for until the first of them. `begins_anew`: a
    book comes when it is subscribed, and recovers by being subscribed again.

    `is_counted`: a missing message of the venue is seen, and some always come: while they do, a book is as it was, and
    its market quiet.

    `has_best`: where whole books come each time, the best of both sides come between them, too.

    `exchanges`: where a session brings books of several, what each is called and the number by which messages name it.
    Each is a venue of its own in the merge. Which of them trade a symbol nobody says: it shows when they do.

    `more`: the request for the rest of what answers the request `symbols`, or None. `assumed`: what a symbol would be
    at a venue that refuses to tell its symbols. `needs_key`: its lb is given one, and its REST.

    `always`: topics of every reader. `stale_after_s`: a book of which nothing is heard for so long is stale.
    `weight_per_minute`: how much of the budget all requests together may take.
    """

    name: str
    form: Form
    url: str
    rest_url: str
    topics: Callable[[str, bool], list[str]]
    rule: Callable[[bool], Rule]
    symbols: Request
    table: Callable[[Any], Mapping[str, VenueSymbol]]
    snapshot: Callable[[str, bool], Request | None] = lambda _name, _is_whole: None
    begins_anew: bool = False
    is_counted: bool = False
    depth: int = 0
    has_best: bool = False
    exchanges: Mapping[str, int] = field(default_factory=dict)
    more: Callable[[Any], Request | None] = lambda _answer: None
    assumed: Callable[[str], VenueSymbol] | None = None
    needs_key: bool = False
    always: tuple[str, ...] = ()
    backlog_bytes: int = 8 << 20
    stale_after_s: float = 60.0
    weight_per_minute: int = 600


def decimals_of(step: str) -> int:
    """Of a step such as 0.00010000: 4; of 1 or 10: 0. Raises ValueError."""
    if not step or float(step) <= 0:
        raise ValueError(f"{step!r} is no step")
    return len(step.partition(".")[2].rstrip("0"))
