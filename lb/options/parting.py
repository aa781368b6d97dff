"""Where the words of `lb` end and those of its worker begin.

Law: what stands behind the word in WORKER's place is the worker's, untouched; argparse would take a `--` there for its
own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_WORDS_OF_LB = 5
"""KEY to WORKER."""
_OPTION = re.compile(r"-(?!$|\d+$)")
"""A word that begins so is an option; a lone dash and a negative number are none."""


@dataclass(frozen=True)
class Parted:
    """A command line, parted behind the word in WORKER's place."""

    of_lb: Sequence[str]
    of_worker: Sequence[str]
    positionals: Sequence[str]
    """Those of lb that are no options and no values of options."""
    unknown: Sequence[str]
    """Names of options that lb does not have."""


def part(words: Sequence[str], options: Mapping[str, bool]) -> Parted:
    """`options`: the names, and whether a value follows each."""
    positionals: list[str] = []
    unknown: list[str] = []
    are_options_over = False
    left = enumerate(words, 1)
    for end, word in left:
        if are_options_over or not _OPTION.match(word):
            positionals.append(word)
            if len(positionals) == _WORDS_OF_LB:
                return Parted(words[:end], words[end:], positionals, unknown)
        elif word == "--":
            are_options_over = True
        else:
            name, has_value, _ = word.partition("=")
            if name not in options:
                unknown.append(name)
            elif options[name] and not has_value:
                next(left, None)
    return Parted(words, [], positionals, unknown)
