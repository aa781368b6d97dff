"""The API key: where it is read from, and how it stays out of sight.

Law: the only object that holds the key prints as stars. The text itself leaves through reveal(), which only the
session calls; hide() takes it out of texts that may hold it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cffi import FFI

from lb.errors import KeyUnreadable, LbError, UsageError
from lb.secret import Secret, hide_all


class Key:
    """A credential. str() and repr() show none of it. `file` is where it was read, if it was a file."""

    __slots__ = ("_file", "_secrets", "_texts")

    def __init__(self, text: str, file: str | None = None) -> None:
        self._texts = [text]
        """With those that it was before, which stay secret."""
        self._file = file
        self._secrets = [Secret(text)]

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another program: as secret as the key."""
        return {"texts": self._texts, "file": self._file}

    @classmethod
    def adopt(cls, handed_over: Mapping[str, Any]) -> Key:
        key = cls(handed_over["texts"][-1], handed_over["file"])
        key._texts = list(handed_over["texts"])
        key._secrets = [*map(Secret, key._texts)]
        return key

    def reveal(self) -> str:
        return self._texts[-1]

    def read_again(self) -> bool:
        """Read the key's file once more. Returns whether there is another key in it now; False, too, where the key came
        from elsewhere or the file can't be used now."""
        if self._file is None:
            return False
        try:
            text = _in_file(self._file)
        except LbError:
            return False
        if text == self.reveal():
            return False
        self._secrets = [*self._secrets, Secret(text)]  # the one before stays one
        self._texts.append(text)
        return True

    def is_in(self, word: str) -> bool:
        """Whether a word of the command line is the key itself."""
        return word.strip() in self._texts

    def hide(self, text: str) -> str:
        """`text` with stars in place of the key, in whatever form a feed or an error repeats it."""
        return hide_all(self._secrets, text)

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
    erase_behind("", form)
    return Key(_checked("KEY", form))


def conceal(form: str) -> None:
    """What read_key() does besides reading, where the key is known already: neither the command line shows it, nor what
    workers inherit."""
    if form.startswith("env:"):
        if form[4:] in os.environ:
            _out_of_environment(form[4:])
    elif form == "-":
        _empty_standard_input()
    elif form != "none" and not form.startswith("@"):
        erase_behind("", form)


def hide_key_in(form: str) -> Callable[[str], str]:
    """What takes the key out of a text before it is read; where `form` only names its place, there is none in it."""
    names_a_place = form in ("-", "none") or form.startswith(("@", "env:"))
    return Secret("" if names_a_place else form.strip()).hide


def erase_behind(kept: str, word: str) -> None:
    """Take what follows `kept` in a word of the process's command line off it."""
    _erase(os.fsencode(word), "arg", keep_bytes=len(os.fsencode(kept)))


def erase_all_behind(word: str) -> None:
    """Take every word behind this one off the process's command line."""
    start, end = _region("arg")
    memory: Any = FFI().buffer(FFI().cast("char *", start), end - start)
    at = memory[:].find(b"\0" + os.fsencode(word) + b"\0")
    if at >= 0:
        begin = at + len(os.fsencode(word)) + 2
        memory[begin:] = bytes(end - start - begin)


def _in_file(file: str) -> str:
    place = f"key file {file!r}"
    return _checked(place, _read(place, file, lines=2))  # one too many is told from one


def _in_environment(name: str) -> str:
    place = f"environment variable {name!r}"
    if name not in os.environ:
        raise KeyUnreadable(f"{place} is not set")
    return _checked(place, _out_of_environment(name))


def _out_of_environment(name: str) -> str:
    """Workers inherit the environment."""
    text = os.environ.pop(name)
    _erase(os.fsencode(f"{name}={text}"), "env")
    return text


def _in_standard_input() -> str:
    text = _read("standard input", 0, lines=1)
    _empty_standard_input()
    return _checked("standard input", text)


def _empty_standard_input() -> None:
    """Workers inherit it: it may be a file, which each of them could read from its beginning again."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


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


def _erase(entry: bytes, region: str, keep_bytes: int = 0) -> None:
    """Overwrite `entry`, but for its first bytes, where /proc/self/cmdline ("arg") or /proc/self/environ ("env") shows
    it (proc(5))."""
    ffi = FFI()
    start, end = _region(region)
    memory: Any = ffi.buffer(ffi.cast("char *", start), end - start)
    at = 0
    for shown in memory[:].split(b"\0"):
        if shown == entry and keep_bytes < len(entry):
            memory[at + keep_bytes : at + len(shown)] = b"*" * (len(shown) - keep_bytes)
        at += len(shown) + 1


def _region(name: str) -> tuple[int, int]:
    """First and last address of the arguments or the environment: fields 48 to 51 of /proc/self/stat."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    first = {"arg": 48, "env": 50}[name] - 3  # the split begins with field 3
    return int(fields[first]), int(fields[first + 1])
