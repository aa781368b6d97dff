"""What a client asks for by 35=V, and why it does not get it (35=Y).

Law: no I/O. A request is taken whole or refused whole; nothing goes to a venue for one that is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from trade_balancer.books.fix.views import Side
from trade_balancer.books.market import UnknownSymbolError
from trade_balancer.errors import MissingExtraError

try:
    from fixcore.message.message import Message
except ImportError:
    raise MissingExtraError("FIX", "fixcore-engine", "fix") from None

LONGEST_ID = 64


class Kind(StrEnum):
    """SubscriptionRequestType (263)."""

    SNAPSHOT = "0"
    UPDATES = "1"
    UNSUBSCRIBE = "2"


class Reason(StrEnum):
    """MDReqRejReason (281); NONE: no number of FIX says it, the text does."""

    NONE = ""
    UNKNOWN_SYMBOL = "0"
    DUPLICATE_ID = "1"
    BANDWIDTH = "2"
    SUBSCRIPTION_TYPE = "4"
    DEPTH = "5"
    UPDATE_TYPE = "6"
    AGGREGATED = "7"
    ENTRY_TYPE = "8"


class Refusal(Exception):
    """Of one request."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason

    def message(self, request: str) -> Message:
        """35=Y."""
        message = Message()
        message.header.set(35, "Y")
        message.set_field(262, request)
        if self.reason:
            message.set_field(281, self.reason)
        message.set_field(58, str(self))
        return message


@dataclass(frozen=True, slots=True)
class Request:
    """`depth`: levels of each side, 0: all that there are."""

    id: str
    kind: Kind
    symbols: tuple[str, ...] = ()
    sides: frozenset[Side] = frozenset(Side)
    depth: int = 0
    is_incremental: bool = False


def read(message: Message, depth: int, check: Callable[[str], None]) -> Request:
    """Of a 35=V that has the fields which FIX 4.4 wants.

    Args:
        depth: levels of each side that there are.
        check: raises UnknownSymbolError.

    Raises:
        Refusal: it cannot be had.
    """
    request, kind = message.get_field(262), message.get_field(263)
    if len(request) > LONGEST_ID:
        raise Refusal(Reason.NONE, f"MDReqID of {len(request)} characters, at most {LONGEST_ID}")
    if kind not in list(Kind):
        raise Refusal(Reason.SUBSCRIPTION_TYPE, f"263={kind}: 0, 1 and 2 are served")
    if kind == Kind.UNSUBSCRIBE:
        return Request(request, Kind.UNSUBSCRIBE)
    update = message.get_field_or(265)
    if (kind == Kind.UPDATES or update) and update not in ("0", "1"):
        raise Refusal(Reason.UPDATE_TYPE, f"265={update}: 0 (35=W each time) and 1 (35=X) are served; 263=1 needs one")
    if message.get_field_or(266) == "Y":
        raise Refusal(Reason.AGGREGATED, "266=Y: each entry is of one venue, they are not added up")
    levels = message.get_field(264)
    if not (levels.isascii() and levels.isdigit() and len(levels) < 10 and int(levels) <= depth):
        raise Refusal(Reason.DEPTH, f"264={levels}: from 1 to {depth} levels, or 0 for all {depth}")
    sides = _named(message, 267, 269)
    if not sides or not set(sides) <= set(Side):
        raise Refusal(Reason.ENTRY_TYPE, "269: 0 (bid) and 1 (offer) are served")
    symbols = _named(message, 146, 55)
    if not symbols:
        raise Refusal(Reason.UNKNOWN_SYMBOL, "no symbol is named")
    try:
        for symbol in symbols:
            check(symbol)
    except UnknownSymbolError as error:
        raise Refusal(Reason.UNKNOWN_SYMBOL, str(error)) from None
    return Request(request, Kind(kind), symbols, frozenset(map(Side, sides)), int(levels), update == "1")


def _named(message: Message, count: int, tag: int) -> tuple[str, ...]:
    """What the groups have in this field, each once; nothing, where there are not as many as are said."""
    groups: list[Any] = message.get_groups(count)
    if message.get_field(count) != str(len(groups)):
        return ()
    return tuple(dict.fromkeys(group.get_field_or(tag) for group in groups))
