"""The API key: where it is read from, and how it stays out of sight.

Law: the only object that holds the key prints as stars. The text itself leaves through reveal(), which only the
session calls; hide() takes it out of texts that may hold it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cffi import FFI

from lb.errors import KeyUnreadable, LbError, UsageError

_SHORT = 8
"""A key of fewer characters is hidden only where it stands alone: it may be part of any word."""


class Key:
    """A credential. str() and repr() show none of it. `file` is where it was read, if it was a file."""

    __slots__ = ("_file", "_patterns", "_text")

    def __init__(self, text: str, file: str | None = None) -> None:
        self._text = text
        self._file = file
        self._patterns = [_any_form(text)]

    def reveal(self) -> str:
        return self._text

    def read_again(self) -> bool:
        """Read the key's file once more. Returns whether there is another key in it now; False, too, where the key came
        from elsewhere or the file can't be used now."""
        if self._file is None:
            return False
        try:
            text = _in_file(self._file)
        except LbError:
            return False
        if text == self._text:
            return False
        self._patterns = [*self._patterns, _any_form(text)]  # the one before stays a secret
        self._text = text
        return True

    def hide(self, text: str) -> str:
        """`text` with stars in place of the key, in whatever form a feed or an error repeats it."""
        for pattern in self._patterns:
            text = pattern.sub("***", text)
        return text

    def __repr__(self) -> str:
        return "Key(***)"


def read_key(form: str) -> Key:
    """The key named by a command-line form: `@FILE`, `env:NAME`, `-` (standard input, which is empty afterwards), or
    the key itself.

    Surrounding white space is dropped. Raises KeyUnreadable for what can't be read, is empty or can't be a key.
    """
    if form.startswith("@"):
        return Key(_in_file(form[1:]), form[1:])
    if form.startswith("env:"):
        return Key(_in_environment(form[4:]))
    if form == "-":
        return Key(_in_standard_input())
    _erase(os.fsencode(form), "arg")
    return Key(_checked("KEY", form))


def hide_key_in(form: str) -> Callable[[str], str]:
    """What takes the key out of a text before it is read; where `form` only names its place, there is none in it."""
    names_a_place = form == "-" or form.startswith(("@", "env:"))
    return Key("" if names_a_place else form.strip()).hide


def erase_query(url: str) -> None:
    """Take what stands behind the `?` of a URL, where some venues want a credential, off the process's command line."""
    shown, mark, query = os.fsencode(url).partition(b"?")
    if query:
        _erase(os.fsencode(url), "arg", keep_bytes=len(shown + mark))


def _in_file(file: str) -> str:
    place = f"key file {file!r}"
    return _checked(place, _read(place, file, lines=2))  # one too many is told from one


def _in_environment(name: str) -> str:
    place = f"environment variable {name!r}"
    if name not in os.environ:
        raise KeyUnreadable(f"{place} is not set")
    text = os.environ.pop(name)  # workers inherit the environment
    _erase(os.fsencode(f"{name}={text}"), "env")
    return _checked(place, text)


def _in_standard_input() -> str:
    """Workers inherit standard input: it may be a file, which each of them could read from its beginning again."""
    text = _read("standard input", 0, lines=1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return _checked("standard input", text)


def _read(place: str, file: str | int, *, lines: int) -> str:
    try:
        with open(file, encoding="utf-8-sig", closefd=file != 0) as stream:  # some editors begin with a mark
            return "".join(stream.readline() for _ in range(lines))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise KeyUnreadable(f"{place} can't be read: {reason}") from None


def _checked(place: str, text: str) -> str:
    key = text.strip()
    if not key:
        raise KeyUnreadable(f"{place} holds no key")
    if "\n" in key:
        raise UsageError(f"{place} holds more than one line")
    if any("\ud800" <= character <= "\udfff" for character in key):  # how Python shows bytes of the command line
        raise KeyUnreadable(f"{place} is not UTF-8")
    if not key.isprintable():
        raise KeyUnreadable(f"{place} holds a character that can't be printed, and so no key")
    return key


def _any_form(key: str) -> re.Pattern[str]:
    """Finds the key, also as JSON, repr() and URLs spell it (RFC 8259 section 7, RFC 3986 section 2.1), or two of them
    one after the other."""
    spelled = "".join(map(_any_spelling, key)) or r"(?!)"  # where there is no key, nothing is found
    return re.compile(spelled if len(key) >= _SHORT else rf"(?<!\w){spelled}(?!\w)", re.IGNORECASE)


def _any_spelling(character: str) -> str:
    utf_16, utf_8 = (character.encode(form, "surrogatepass") for form in ("utf-16-be", "utf-8"))
    in_json = "".join(rf"\\{{1,4}}u{utf_16[at : at + 2].hex()}" for at in range(0, len(utf_16), 2))
    in_repr = "".join(rf"\\{{1,4}}x{octet:02x}" for octet in utf_8)
    in_url = "".join(f"%{octet:02x}" for octet in utf_8)
    return rf"(?:\\{{0,4}}{re.escape(character)}|{in_json}|{in_repr}|{in_url})"


def _erase(entry: bytes, region: str, keep_bytes: int = 0) -> None:
    """Overwrite `entry`, but for its first bytes, where /proc/self/cmdline ("arg") or /proc/self/environ ("env") shows
    it (proc(5))."""
    ffi = FFI()
    start, end = _region(region)
    memory: Any = ffi.buffer(ffi.cast("char *", start), end - start)
    at = 0
    for shown in memory[:].split(b"\0"):
        if shown == entry:
            memory[at + keep_bytes : at + len(shown)] = b"*" * (len(shown) - keep_bytes)
        at += len(shown) + 1


def _region(name: str) -> tuple[int, int]:
    """First and last address of the arguments or the environment: fields 48 to 51 of /proc/self/stat."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    first = {"arg": 48, "env": 50}[name] - 3  # the split begins with field 3
    return int(fields[first]), int(fields[first + 1])
