"""Files that are named on a command line and hold what is for few eyes. Law: no text has their contents."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from trade_balancer.errors import InputError

_MOST_BYTES = 4096


def contents(path: Path) -> bytes:
    """
    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


def secret(path: Path) -> str:
    """The one line of a file that only its owner may read.

    Raises:
        InputError: it cannot be read, others may read it, or it is not one line of printable ASCII.
    """
    lines = _lines(path)
    if len(lines) != 1:
        raise InputError(f"{path}: not one line of 1 to {_MOST_BYTES} printable ASCII characters")
    return lines[0]


def secrets(path: Path) -> list[str]:
    """The lines, one or more, of such a file; empty ones left out.

    Raises:
        InputError: as above.
    """
    lines = _lines(path)
    if not lines:
        raise InputError(f"{path}: not lines of printable ASCII, 1 to {_MOST_BYTES} characters together")
    return lines


def _lines(path: Path) -> list[str]:
    """None of them where they are not what they should be. Raises InputError."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InputError(f"{path}: others may read or write it (mode {stat.S_IMODE(mode):04o}); chmod 600 {path}")
    lines = [line for each in text.split(b"\n") if (line := each.strip())]
    if len(text) > _MOST_BYTES or not all(line.isascii() and line.decode().isprintable() for line in lines):
        return []
    return [line.decode() for line in lines]
