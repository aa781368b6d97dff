"""How many lines of one kind are logged: what a peer may cause without limit must not fill a disk. Law: pure."""

from __future__ import annotations


class Ration:
    """At most `lines` in each second, counted from the first of them."""

    def __init__(self, lines: int) -> None:
        self._lines = lines
        self._left = lines
        self._second_ends_ns = 0
        self._left_out = 0

    def allows(self, now_ns: int) -> bool:
        """Whether one more may be logged; it should tell left_out()."""
        if now_ns >= self._second_ends_ns:
            self._second_ends_ns = now_ns + 1_000_000_000
            self._left = self._lines
        if self._left == 0:
            self._left_out += 1
            return False
        self._left -= 1
        return True

    def left_out(self) -> int:
        """How many were not logged since this was asked last."""
        left_out, self._left_out = self._left_out, 0
        return left_out
