"""Writes results: whole lines to a stream that several processes may share, one JSON file at a time, never half.

Law: a line that was accepted is written or the worker fails; errors name the file.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import orjson

from trade_balancer.errors import OutputError


class LineOutput:
    """Lines of JSON, appended to a file or written to standard output; a context manager that closes the file.

    A write holds whole lines and at most PIPE_BUF bytes, which pipe(7) keeps in one piece: lines of processes that
    write to the same pipe never mix. O_APPEND does the same for a file, and keeps what a worker wrote before a restart.

    Args:
        path: the file; None for standard output.

    Raises:
        OutputError: it cannot be opened.
    """

    def __init__(self, path: Path | None) -> None:
        self._name = "standard output" if path is None else str(path)
        try:
            if path is None:
                self._fd = 1
                # A closed one goes to the next file opened, whatever it is: libffi, for one, keeps itself open to read.
                if fcntl.fcntl(self._fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
                    raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            else:
                self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as fault:
            raise self._failed(fault) from fault

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd != 1:
            os.close(self._fd)

    def write(self, objects: Iterable[dict[str, Any]]) -> None:
        """Writes every object as one line; on return the kernel has all of them.

        Raises:
            OutputError: the reader is gone, the disk is full.
        """
        piece = b""
        for line in (orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE) for value in objects):
            if len(piece) + len(line) > select.PIPE_BUF:
                self._write(piece)
                piece = b""
            piece += line
        self._write(piece)

    def write_lines(self, pieces: Iterable[bytes]) -> None:
        """Writes lines that are text already; of `pieces` of whole lines, those of PIPE_BUF bytes at most stay whole.

        Raises:
            OutputError: as `write`.
        """
        for piece in pieces:
            self._write(piece)

    def _write(self, piece: bytes) -> None:
        try:
            while piece:
                piece = piece[os.write(self._fd, piece) :]
        except OSError as fault:
            raise self._failed(fault) from fault

    def _failed(self, fault: OSError) -> OutputError:
        return OutputError(f"cannot write to {self._name}: {fault.strerror}")


def replace_file(path: Path, value: dict[str, Any]) -> None:
    """Writes `value` as JSON to `path` so that a reader finds the old file or the whole new one (rename(2)).

    Raises:
        OutputError: neither a half file nor the temporary one is left.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        try:
            temporary.write_bytes(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as fault:
        raise OutputError(f"cannot write to {path}: {fault.strerror}") from fault
