"""Faults of a venue that wait for their message, and symbols that are silent. No I/O; any thread may ask for them."""

import enum
import threading


class Twist(enum.Enum):
    """What may happen to one message of a book."""

    GAP = "gap"
    """It is not sent."""
    DUPLICATE = "duplicate"
    """It is sent twice."""
    CROSSED = "crossed"
    """Its best bid is above its best ask."""
    BAD_CHECKSUM = "bad-checksum"
    """Its checksum is another's."""


class Trouble:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._twists: list[tuple[Twist, str | None]] = []
        self._silent: set[str] = set()
        self.is_any = False
        """Whether there is anything to ask for at all."""
        self._old_snapshots = 0
        self._refusals = 0
        self._refused_for_s = 0

    def add(self, twist: Twist, symbol: str | None) -> None:
        """Of the next message of a book that it can happen to: of this symbol, or of any."""
        with self._lock:
            self._twists.append((twist, symbol))
            self.is_any = True

    def take(self, symbol: str, able: frozenset[Twist]) -> Twist | None:
        """What is to happen to a message that this can happen to; it will not come again."""
        with self._lock:
            for at, (twist, of_symbol) in enumerate(self._twists):
                if twist in able and of_symbol in (None, symbol):
                    del self._twists[at]
                    self.is_any = bool(self._twists or self._silent)
                    return twist
            return None

    def set_silent(self, symbol: str, is_silent: bool) -> None:
        """Nothing of the symbol is sent on any stream."""
        with self._lock:
            (self._silent.add if is_silent else self._silent.discard)(symbol)
            self.is_any = bool(self._twists or self._silent)

    def is_silent(self, symbol: str) -> bool:
        return symbol in self._silent

    def age_snapshots(self, count: int) -> None:
        """The next so many are of long ago."""
        with self._lock:
            self._old_snapshots += count

    def take_old(self) -> bool:
        with self._lock:
            self._old_snapshots, is_old = max(0, self._old_snapshots - 1), self._old_snapshots > 0
            return is_old

    def refuse(self, requests: int, retry_after_s: int) -> None:
        """The next so many REST requests get 429."""
        with self._lock:
            self._refusals += requests
            self._refused_for_s = retry_after_s

    def take_refusal(self) -> int | None:
        """Seconds after which the client may try again; None: this request is answered."""
        with self._lock:
            if not self._refusals:
                return None
            self._refusals -= 1
            return self._refused_for_s
