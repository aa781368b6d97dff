"""An instance's settings, read as systemd reads them: EnvironmentFile= (systemd.exec(5)) and the words of ExecStart=
(systemd.service(5)). Law: no I/O."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from lb.setup.pieces import key_path, state_path

_ESCAPED_IN_QUOTES = '"\\`$'


def variables_of(text: str) -> dict[str, str]:
    """NAME=VALUE lines. A line that is none is passed over, as systemd does."""
    found: dict[str, str] = {}
    left = text
    while left:
        line_end = left.find("\n")
        line = left if line_end < 0 else left[:line_end]
        if "=" not in line or line.lstrip().startswith(("#", ";")):
            left = "" if line_end < 0 else left[line_end + 1 :]
            continue
        name, _, left = left.partition("=")
        value, left = _value(left)
        found[name.strip()] = value
    return found


def words_of(name: str, variables: Mapping[str, str]) -> list[str]:
    """The command line of lb in the unit lb@.service, but for the key, which is named by the file it comes from. Raises
    ValueError where quotes are not closed."""
    defaults = {"LB_DIR": state_path(name), "LB_KEY": f"@{key_path(name)}"}
    given = {**defaults, **variables}

    def words(variable: str) -> list[str]:
        return shlex.split(given.get(variable, ""))

    return [
        *words("LB_OPTIONS"), *words("LB_KEY"),
        *words("LB_URL"), *words("LB_NPIPES"), *words("LB_DIR"), *words("LB_WORKER"),
    ]  # fmt: skip


def _value(text: str) -> tuple[str, str]:
    """A value, and what follows its line."""
    value: list[str] = []
    quote = ""
    is_begun = False
    at = 0
    while at < len(text):
        character = text[at]
        at += 1
        if character == "\\" and quote != "'":
            following = text[at : at + 1]
            at += 1
            if quote and following not in _ESCAPED_IN_QUOTES and following != "\n":
                value.append(character)
            value.append("" if following == "\n" else following)
            is_begun = True
        elif quote:
            if character == quote:
                quote, is_begun = "", False
            else:
                value.append(character)
        elif character == "\n":
            break
        elif not is_begun and character in "\"'":
            quote = character
        elif is_begun or not character.isspace():
            value.append(character)
            is_begun = True
    joined = "".join(value)
    return (joined.rstrip() if is_begun else joined), text[at:]
