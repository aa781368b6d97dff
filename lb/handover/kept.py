"""A document that is written again and again, and of which there is a whole one at any moment, for whoever comes after
a kill.

    half: [ magic | version | generation | length | checksum | JSON ]    two, in one memfd; a new one replaces the older

Law: nothing that is read is believed before its checksum is right.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import orjson

from lb.handover.document import HandOverRefused

VERSION = 1
"""Of the document. To be raised where a program of the version before would misunderstand it."""
HALF_BYTES = 64 << 20
"""Of address space: what is not written has no memory."""

_HEADER = struct.Struct("<8sIxxxxQQI")
_MAGIC = b"lb kept\0"


class Kept:
    """`fileno()`: the memfd. `adopted_fd`: another process's, taken over."""

    def __init__(self, adopted_fd: int | None = None) -> None:
        """Raises OSError."""
        self._fd = os.memfd_create("lb kept") if adopted_fd is None else adopted_fd
        os.set_inheritable(self._fd, False)
        self._generation = max(generation for generation, _ in _halves(self._fd))

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        os.close(self._fd)

    def wipe(self) -> None:
        """There is none any more."""
        os.ftruncate(self._fd, 0)

    def write(self, document: Mapping[str, Any]) -> None:
        """Raises OSError where there is no memory for it, or it is too long or no text: the one before stays."""
        try:
            text = orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS)
        except TypeError as error:  # a word of the command line need not be UTF-8
            raise OSError(str(error)) from None
        if _HEADER.size + len(text) > HALF_BYTES:
            raise OSError(f"a document of {len(text)} bytes is longer than {HALF_BYTES}")
        generation = self._generation + 1
        header = _HEADER.pack(_MAGIC, VERSION, generation, len(text), _checksum(generation, text))
        written = os.pwrite(self._fd, header + text, generation % 2 * HALF_BYTES)
        if written < len(header) + len(text):
            raise OSError("there is no memory for the document")
        self._generation = generation


def read(fd: int) -> dict[str, Any]:
    """The newest whole one. Raises HandOverRefused."""
    try:
        generation, text = max(_halves(fd))
        document = orjson.loads(text) if generation else None
    except (OSError, orjson.JSONDecodeError):
        raise HandOverRefused("its document can't be read") from None
    if not isinstance(document, dict):
        raise HandOverRefused("its document is of another version, or damaged")
    return document


def _halves(fd: int) -> list[tuple[int, bytes]]:
    """Generation and text of each; 0 of one that is none."""
    return [_half(fd, offset) for offset in (0, HALF_BYTES)]


def _half(fd: int, offset: int) -> tuple[int, bytes]:
    header = os.pread(fd, _HEADER.size, offset)
    if len(header) == _HEADER.size:
        magic, version, generation, length, checksum = _HEADER.unpack(header)
        if (magic, version) == (_MAGIC, VERSION) and length <= HALF_BYTES:
            text = os.pread(fd, length, offset + _HEADER.size)
            if len(text) == length and _checksum(generation, text) == checksum:
                return generation, text
    return 0, b""


def _checksum(generation: int, text: bytes) -> int:
    return zlib.crc32(text, zlib.crc32(generation.to_bytes(8, "little")))
