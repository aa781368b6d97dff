"""What a client asked for: topics such as `T.*`, `T.AAPL`, `XQ.BTC-USD`, and which records they select. No I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

ALL_SYMBOLS = "*"

# The field that holds the symbol, by event type; `sym` where it is not named here. The vendor's documents per channel.
_SYMBOL_FIELDS = {
    "C": "p",
    "CA": "pair",
    "CAS": "pair",
    "LULD": "T",
    "NOI": "T",
    "V": "T",
    "XA": "pair",
    "XAS": "pair",
    "XL2": "pair",
    "XQ": "pair",
    "XT": "pair",
}

# Event types that the feed acknowledges whether or not the tape holds any of them.
KNOWN_EVENTS = frozenset(_SYMBOL_FIELDS) | {"A", "AM", "FMV", "LV", "Q", "T"}


@dataclass(frozen=True, order=True)
class Topic:
    """One event type and one symbol, or `*` for all symbols of that type."""

    event: str
    symbol: str

    @classmethod
    def parse(cls, param: str) -> "Topic | None":
        """Reads `EVENT.SYMBOL`; the symbol may hold dots itself (`T.BRK.B`). None where that is not its form."""
        event, dot, symbol = param.partition(".")
        return cls(event, symbol) if event and dot and symbol else None

    def __str__(self) -> str:
        return f"{self.event}.{self.symbol}"


class Topics:
    """An immutable set of topics."""

    def __init__(self, topics: Iterable[Topic] = ()) -> None:
        self.members = frozenset(topics)
        self._pairs = {(topic.event, topic.symbol) for topic in self.members}

    def select(self, record: Mapping[str, object]) -> bool:
        """Whether a decoded record belongs to one of the topics. A status record belongs to none."""
        event = record.get("ev")
        if not isinstance(event, str):
            return False
        if (event, ALL_SYMBOLS) in self._pairs:
            return True
        return (event, record.get(_SYMBOL_FIELDS.get(event, "sym"))) in self._pairs

    def cover(self, events: Iterable[str]) -> bool:
        """Whether every record of every one of these event types is selected."""
        return all((event, ALL_SYMBOLS) in self._pairs for event in events)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Topics) and other.members == self.members

    def __hash__(self) -> int:
        return hash(self.members)

    def __repr__(self) -> str:
        return f"Topics({', '.join(sorted(map(str, self.members)))})"
