"""Reads tapes from files: one message, a JSON array of objects, per line; plain, gzip or Zstandard.

A file is held in memory whole: about twice its uncompressed size, once as messages and once framed.
"""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import zstandard

from lb.replay.errors import InputError, UsageError
from lb.replay.tape import Message, Tape


def read_tape(paths: Iterable[Path]) -> Tape:
    """One tape of these files, in the order given. Blank lines are passed over.

    Raises UsageError for a suffix other than .jsonl, .gz or .zst, and InputError, with file and line, for a file that
    cannot be read or a line that is not an array of objects.
    """
    return Tape.of_messages(message for path in paths for message in _read_messages(path))


def _read_messages(path: Path) -> Iterator[Message]:
    for number, line in enumerate(_read_text(path).split(b"\n"), 1):
        if text := line.strip():
            try:
                yield Message.parse(text)
            except ValueError as error:
                raise InputError(f"{path}:{number}: {error}") from None


def _read_text(path: Path) -> bytes:
    if path.suffix not in {".jsonl", ".gz", ".zst"}:
        raise UsageError(f"{path}: unknown suffix {path.suffix!r}; known are .jsonl, .gz and .zst")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    try:
        match path.suffix:
            case ".gz":
                return gzip.decompress(content)
            case ".zst":
                return _decompress_zstandard(content)
            case _:
                return content
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise InputError(f"{path}: cannot be decompressed: {error}") from None


def _decompress_zstandard(content: bytes) -> bytes:
    """All frames of a Zstandard file. A streaming reader would take a truncated frame for the end of the file."""
    parts: list[bytes] = []
    while content:
        decompressor = zstandard.ZstdDecompressor().decompressobj()
        parts.append(decompressor.decompress(content))
        if not decompressor.eof:
            raise EOFError("the file is truncated")
        content = decompressor.unused_data
    return b"".join(parts)
