"""A text that no line may show, in whatever spelling, nor the beginning of it, where a longer text was cut off.

Law: pure; holds only what finds the text, and prints none of it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Protocol

_LEAST = 8
"""Characters of its beginning that are enough to know it. A shorter secret is known only where it stands alone: it may
be part of any word."""
_BACKSLASHES = r"(?:\\(?:u005c|x5c)?|%5c){0,9}"
"""Of the text itself, or of what quotes it. A bound keeps the search linear."""
_NOTHING = r"(?!)"
_STARS = "***"


class Hides(Protocol):
    def hide(self, text: str) -> str:
        """`text` with stars in place of what is secret."""


class Secret:
    """`text` may be empty: then there is nothing to hide."""

    __slots__ = ("_begin", "_rest", "_whole")

    def __init__(self, text: str) -> None:
        spellings = [_spelling(character) for character in text]
        begin, whole = (
            "".join(some).removeprefix(_BACKSLASHES) or _NOTHING for some in (spellings[:_LEAST], spellings)
        )
        is_long = len(text) >= _LEAST
        self._whole = re.compile(whole if is_long else rf"(?<!\w){whole}(?!\w)", re.IGNORECASE)
        self._begin = re.compile(begin if is_long else _NOTHING, re.IGNORECASE)
        self._rest = [_pattern(spelling) for spelling in spellings[_LEAST:]]

    def hide(self, text: str) -> str:
        """`text` with stars in place of it, however a feed, a library or Python spells it."""
        text = self._whole.sub(_STARS, text)
        kept, at = [], 0
        while found := self._begin.search(text, at):
            kept.append(text[at : found.start()])
            at = self._end(text, found.end())
        return _STARS.join([*kept, text[at:]])

    def _end(self, text: str, at: int) -> int:
        """Where that ends of which at least the beginning is there."""
        for pattern in self._rest:
            more = pattern.match(text, at)
            if more is None:
                break
            at = more.end()
        return at

    def __repr__(self) -> str:
        return "Secret(***)"


def hide_all(secrets: Iterable[Hides], text: str) -> str:
    """`text` without any of them."""
    return functools.reduce(lambda rest, secret: secret.hide(rest), secrets, text)


def _spelling(character: str) -> str:
    """What finds it as it is, and as JSON, repr() or a URL may have it (RFC 8259 section 7, RFC 3986 section 2.1), also
    one in the other."""
    if character == "\\":
        return ""  # is among those in front of the next character, however many these are
    utf_16, utf_8 = (character.encode(form, "surrogatepass") for form in ("utf-16-be", "utf-8"))
    in_json = _BACKSLASHES.join(f"u{utf_16[at : at + 2].hex()}" for at in range(0, len(utf_16), 2))
    in_repr = _BACKSLASHES.join(f"x{octet:02x}" for octet in utf_8)
    in_url = "".join(f"%{octet:02x}" for octet in utf_8)
    return f"{_BACKSLASHES}(?:{re.escape(character)}|{in_json}|{in_repr}|{in_url})"


@functools.cache
def _pattern(spelling: str) -> re.Pattern[str]:
    return re.compile(spelling, re.IGNORECASE)
