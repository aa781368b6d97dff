"""The API key: where it is read from, and how it stays out of sight.

Law: the only object that holds the key prints as stars. The text itself leaves through reveal(), which only the
session calls.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cffi import FFI

from lb.errors import KeyUnreadable, UsageError


class Key:
    """A credential. str() and repr() show none of it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Key(***)"


def read_key(form: str) -> Key:
    """The key named by a command-line form: `@FILE`, `env:NAME`, `-` (standard input), or the key itself.

    Surrounding white space is dropped. Raises KeyUnreadable for what can't be read or is empty.
    """
    if form.startswith("@"):
        place = f"key file {form[1:]!r}"
        text = _read(place, form[1:], lines=2)  # one too many is told from one
    elif form.startswith("env:"):
        place = f"environment variable {form[4:]!r}"
        if form[4:] not in os.environ:
            raise KeyUnreadable(f"{place} is not set")
        text = os.environ.pop(form[4:])  # workers inherit the environment
        _erase(os.fsencode(f"{form}={text}".removeprefix("env:")), "env")
    elif form == "-":
        place = "standard input"
        text = _read(place, 0, lines=1)
    else:
        place = "KEY"
        text = form
        _erase(os.fsencode(form), "arg")
    if not text.strip():
        raise KeyUnreadable(f"{place} holds no key")
    if "\n" in text.strip():
        raise UsageError(f"{place} holds more than one line")
    return Key(text.strip())


def _read(place: str, file: str | int, *, lines: int) -> str:
    try:
        with open(file, encoding="utf-8", closefd=file != 0) as stream:
            return "".join(stream.readline() for _ in range(lines))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise KeyUnreadable(f"{place} can't be read: {reason}") from None


def _erase(entry: bytes, region: str) -> None:
    """Overwrite `entry` where /proc/self/cmdline ("arg") or /proc/self/environ ("env") shows it (proc(5))."""
    ffi = FFI()
    start, end = _region(region)
    memory: Any = ffi.buffer(ffi.cast("char *", start), end - start)
    at = 0
    for shown in memory[:].split(b"\0"):
        if shown == entry:
            memory[at : at + len(shown)] = b"*" * len(shown)
        at += len(shown) + 1


def _region(name: str) -> tuple[int, int]:
    """First and last address of the arguments or the environment: fields 48 to 51 of /proc/self/stat."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    first = {"arg": 48, "env": 50}[name] - 3  # the split begins with field 3
    return int(fields[first]), int(fields[first + 1])
