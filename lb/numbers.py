"""Numbers on a command line: from a word to its value, or an error (argparse.ArgumentTypeError) that says why not.

Law: knows no program; an error repeats no word that is long enough to be a key.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

_LONGEST_QUOTED = 15
"""Characters; keys are longer."""


def whole(name: str, least: int, most: int | None = None) -> Callable[[str], int]:
    """A whole number of `name` from `least` to `most`, or without an upper bound."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{quoted(text)} is not a whole number") from None
        if most is None and number < least:
            raise argparse.ArgumentTypeError(f"{number} {name} is below {least}")
        if most is not None and not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{number} {name} is outside of {least} to {most}")
        return number

    return parse


def seconds(text: str) -> float:
    """From 0 to 1e9."""
    number_s = _number(text, "a number of seconds")
    if not 0 <= number_s <= 1e9:
        raise argparse.ArgumentTypeError(f"{text} s is outside of 0 to 1e9 s")
    return number_s


def above_zero(text: str) -> float:
    number = _number(text, "a number")
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not above 0")
    return number


def _number(text: str, name: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not {name}")
    return number


def quoted(word: str) -> str:
    """For errors. Where an option's value is forgotten, the key may stand in its place."""
    return repr(word) if len(word) <= _LONGEST_QUOTED else f"a word of {len(word)} characters"
