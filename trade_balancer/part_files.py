"""Files that are whole or not there: before a file is complete and on the disk, it is called NAME.part.

Law: a file gets its name by fsync of the file, rename, fsync of the folder, in that order. Whoever writes a .part file
holds a lock on it (flock), which ends with its process: a .part file without one was left behind.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from trade_balancer.errors import OutputError

PART = ".part"


class PartFile:
    """A file that is not complete yet, open for writing as `fd` under the name `part_path`.

    Args:
        path: what it is called when it is complete.

    Raises:
        FileExistsError: there is one of that name, complete or not.
        OutputError: it can't be written, here and in each method. It is closed then, and `has_failed`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part_path = path.with_name(path.name + PART)
        self.has_failed = False
        try:
            self.fd = os.open(self.part_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            raise
        except OSError as fault:
            raise _cannot_write(self.part_path, fault) from fault
        if not self._is_ours() or path.exists():
            os.close(self.fd)
            self.part_path.unlink(missing_ok=True)
            raise FileExistsError(path)

    def write(self, data: bytes) -> None:
        with self.checked():
            while data:
                data = data[os.write(self.fd, data) :]

    def complete(self) -> None:
        with self.checked():
            os.fsync(self.fd)
            self.part_path.rename(self.path)
            sync_folder(self.path.parent)
        os.close(self.fd)

    @contextlib.contextmanager
    def checked(self) -> Iterator[None]:
        """What goes wrong in it is the file's failure."""
        try:
            yield
        except OSError as fault:
            self.has_failed = True
            os.close(self.fd)
            raise _cannot_write(self.part_path, fault) from fault

    def _is_ours(self) -> bool:
        """Takes the lock. Before it was held, `remove_left_over` may have taken the file for a left-over."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return self.part_path.stat().st_ino == os.fstat(self.fd).st_ino
        except (BlockingIOError, FileNotFoundError):
            return False


_Part = TypeVar("_Part", bound=PartFile)


class FileNames:
    """PREFIX-YYYYMMDDTHHMMSSZ-PID-N.SUFFIX, after a time (UTC), the process, and how many it has begun.

    Processes that write into the same folder never have the same name, though one may have another's number.
    """

    def __init__(self, prefix: str, suffix: str) -> None:
        self._prefix = prefix
        self._suffix = suffix
        self._begun_total = 0

    def begin(self, folder: Path, now_s: float, kind: Callable[[Path], _Part]) -> _Part:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))
        while True:
            self._begun_total += 1
            path = folder / f"{self._prefix}-{stamp}-{os.getpid()}-{self._begun_total}{self._suffix}"
            with contextlib.suppress(FileExistsError):  # of a process that had this number within the same second
                return kind(path)


def file_name(text: str) -> str:
    """The type of an option that files' names begin with."""
    if not text or "/" in text:
        raise argparse.ArgumentTypeError(f"{text!r} can't begin a file's name")
    return text


def check_folder(folder: Path) -> None:
    """Raises OutputError where no file can be written."""
    if not folder.is_dir():
        raise OutputError(f"cannot write to {folder}: not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write to {folder}: {os.strerror(errno.EACCES)}")


def make_folder(folder: Path) -> None:
    """Makes the folder and those above it, as far as they are missing; they are on the disk then.

    Raises:
        OutputError: it can't be made.
    """
    missing = [one for one in (folder, *folder.parents) if not one.is_dir()]
    try:
        for one in reversed(missing):
            one.mkdir(exist_ok=True)
            sync_folder(one.parent)
    except OSError as fault:
        raise OutputError(f"cannot make the folder {folder}: {_reason(fault)}") from fault


def remove_left_over(part_paths: Iterable[Path]) -> Iterator[tuple[Path, int]]:
    """Removes the .part files whose process has ended; yields each one's path and size in bytes.

    Raises:
        OutputError: one can't be removed.
    """
    for path in part_paths:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # it has become complete
            continue
        except OSError as fault:
            raise OutputError(f"cannot remove {path}: {_reason(fault)}") from fault
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            size_bytes = os.fstat(fd).st_size
            path.unlink()
        except (BlockingIOError, FileNotFoundError):  # it is being written, or has become complete
            continue
        except OSError as fault:
            raise OutputError(f"cannot remove {path}: {_reason(fault)}") from fault
        finally:
            os.close(fd)
        yield path, size_bytes


def sync_folder(folder: Path) -> None:
    """Without it a name in the folder might be lost with the power, though the file is not."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _cannot_write(path: Path, fault: OSError) -> OutputError:
    return OutputError(f"cannot write to {path}: {_reason(fault)}")


def _reason(fault: OSError) -> str:
    return os.strerror(fault.errno) if fault.errno else str(fault)
