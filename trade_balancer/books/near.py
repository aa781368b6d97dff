"""Which symbols somebody may have meant.

Law: anybody may ask for what there is not, so that an answer takes the same time however many symbols there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MOST = 5
_LONGEST = 24
"""Letters: no symbol has more, whatever is asked for."""


class Near:
    """Of these symbols (`BTC-USD`): those that are one letter away, whatever stands between the letters, and those with
    the same base."""

    def __init__(self, symbols: Iterable[str]) -> None:
        self._by_letters: dict[str, list[str]] = {}
        self._by_base: dict[str, list[str]] = {}
        for symbol in sorted(symbols):
            for form in _one_letter_less(_letters(symbol)):
                self._by_letters.setdefault(form, []).append(symbol)
            self._by_base.setdefault(symbol.partition("-")[0], []).append(symbol)

    def __call__(self, asked: str) -> list[str]:
        """At most MOST, the nearest first."""
        letters = _letters(asked)
        found: dict[str, None] = {}
        for form in _one_letter_less(letters):
            found.update(dict.fromkeys(self._by_letters.get(form, ())))
        for length in range(len(letters), 1, -1):
            if len(found) >= MOST:
                break
            found.update(dict.fromkeys(self._by_base.get(letters[:length], ())[:MOST]))
        return list(found)[:MOST]


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text[: 2 * _LONGEST])).upper()[:_LONGEST]


def _one_letter_less(letters: str) -> Iterator[str]:
    """And all of them. Two words that differ in one letter, or by two that have changed places, have one in common."""
    yield letters
    for at in range(len(letters)):
        yield letters[:at] + letters[at + 1 :]
