"""A venue's key: where it is read from, and how it stays out of sight.

Law: never a word of a command line; prints as stars; leaves through reveal() alone.
"""

from __future__ import annotations

import os
from pathlib import Path

from trade_balancer.errors import InputError, UsageError

_LONGEST = 4096


class Key:
    """`form`: `@FILE`, which is read anew each time, or `env:NAME`, which is taken out of the environment, so that no
    program started later inherits it.

    Raises:
        UsageError: of another form, or there is no such variable.
        InputError: the file can't be read, or what is there is not one line of printable characters.
    """

    def __init__(self, form: str) -> None:
        self._file = form[1:] if form.startswith("@") else None
        if self._file is None and not form.startswith("env:"):
            raise UsageError("a key is named as @FILE or env:NAME, and never written on a command line")
        name = form.removeprefix("env:")
        if self._file is None and name not in os.environ:
            raise UsageError(f"environment variable {name!r} is not set")
        self._text = "" if self._file is not None else _checked(f"environment variable {name!r}", os.environ.pop(name))
        self.reveal()

    def reveal(self) -> str:
        """Raises InputError."""
        return self._text if self._file is None else _checked(f"key file {self._file!r}", _contents(self._file))

    def __repr__(self) -> str:
        return "Key(***)"


def _contents(file: str) -> str:
    try:
        with Path(file).open(encoding="utf-8-sig") as stream:  # some editors begin with a mark
            return stream.read(_LONGEST + 1)
    except UnicodeDecodeError:
        raise InputError(f"key file {file!r} is not UTF-8") from None
    except OSError as error:
        raise InputError(f"key file {file!r} can't be read: {error.strerror}") from None


def _checked(place: str, text: str) -> str:
    key = text.strip()
    if not key or len(key) > _LONGEST or not key.isascii() or not key.isprintable() or " " in key:
        raise InputError(f"{place} does not hold a key: one line of printable ASCII")
    return key
