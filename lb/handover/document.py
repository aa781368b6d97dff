"""What one program leaves to the next: a JSON document in a memfd, whose number stands in the environment.

Law: the document has a version of its own; what it says of a part is that part's affair (hand_over(), adopt()). It
holds the key: it is nobody's but this process's, and closed as soon as it was read.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Never

import orjson

from lb.errors import InternalError

VERSION = 1
"""Of the document. To be raised where a program of the version before would misunderstand it."""
_VARIABLE = "LB_HANDOVER"
_NAME = Path("/proc/self/comm")  # what ps shows; execve(2) names a process after the file that it runs: the interpreter


class HandOverRefused(InternalError):
    """What stands in the environment is no document of this version."""


def command() -> list[str]:
    """How this process was called, without the words of lb's own command line."""
    words = _command_line()
    return words[: len(words) - len(sys.argv[1:])]


def _command_line() -> list[str]:
    """As the kernel shows it: what was wiped of it is (lb/key.py)."""
    return [os.fsdecode(word) for word in Path("/proc/self/cmdline").read_bytes().split(b"\0")[:-1]]


def leave(document: Mapping[str, Any]) -> int:
    """Write a document. Returns its descriptor, the caller's. Raises OSError, also where a word is not UTF-8."""
    fd = os.memfd_create("lb hand-over")
    try:
        with os.fdopen(os.dup(fd), "wb") as file:
            own = {"version": VERSION, "name": _NAME.read_text("latin-1").rstrip("\n")}
            file.write(orjson.dumps({**own, **document}, option=orjson.OPT_NON_STR_KEYS))
    except orjson.JSONEncodeError as error:
        os.close(fd)
        raise OSError(errno.EILSEQ, f"a word of its command line: {error}") from None
    except BaseException:
        os.close(fd)
        raise
    return fd


def read(fd: int) -> dict[str, Any]:
    """A document from its beginning. Raises HandOverRefused."""
    try:
        document = orjson.loads(os.pread(fd, os.fstat(fd).st_size, 0))
    except (OSError, orjson.JSONDecodeError):
        raise HandOverRefused("the hand-over's document can't be read") from None
    version = document.get("version") if isinstance(document, dict) else None
    if version != VERSION:
        raise HandOverRefused(f"the hand-over's document is of version {version!r}, and not {VERSION}")
    return dict(document)


def take() -> dict[str, Any] | None:
    """The document that another program has left to this one; None where lb was started as ever.

    Raises HandOverRefused.
    """
    number = os.environ.pop(_VARIABLE, "")
    if not number:
        return None
    if not number.isdecimal():
        raise HandOverRefused(f"{_VARIABLE} is no number of a descriptor")
    document = read(int(number))
    _NAME.write_text(document["name"], "latin-1")
    os.close(int(number))
    for fd in document["fds"]:
        os.set_inheritable(fd, False)
    return document


def jump(document_fd: int, fds: Iterable[int]) -> Never:
    """The installed program takes this process over, with these descriptors. Raises OSError where it can't."""
    kept = [document_fd, *fds]
    for fd in kept:
        os.set_inheritable(fd, True)
    try:
        os.execve(sys.executable, _command_line(), {**os.environ, _VARIABLE: str(document_fd)})
    except OSError:
        for fd in kept:
            os.set_inheritable(fd, False)
        raise
