"""Completes the recordings that a crash has left behind: cuts what is not a whole block, writes the index, renames.

Law: nobody's file that is being written: its writer holds a lock on it (part_files).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from trade_balancer.errors import InputError, OutputError
from trade_balancer.part_files import PART, sync_folder
from trade_balancer.recording.block import Entry, pack_index
from trade_balancer.recording.files import SUFFIX
from trade_balancer.recording.reader import Recording


def complete_left_over(folder: Path, prefix: str) -> Iterator[str]:
    """Completes every recording of this prefix whose process has ended; yields what was done with each, in words.

    Raises:
        OutputError: one can't be completed.
    """
    for path in sorted(folder.glob(f"{prefix}-*{SUFFIX}{PART}")):
        try:
            with _locked(path) as fd:
                if fd is not None:
                    yield _complete(path, fd)
        except OSError as fault:
            raise OutputError(f"cannot complete {path}: {fault.strerror}") from fault


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int | None]:
    """None where it is being written, or has become complete."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield fd if path.stat().st_ino == os.fstat(fd).st_ino else None
    except (BlockingIOError, FileNotFoundError):
        yield None
    finally:
        os.close(fd)


def _complete(path: Path, fd: int) -> str:
    size_bytes = os.fstat(fd).st_size
    entries: list[Entry] = []
    records = 0
    try:
        with Recording(path) as recording:
            for head, entry in recording.whole():
                entries.append(entry)
                records += head.records
            end_bytes, damage = recording.end_bytes, recording.damage
    except InputError as fault:
        end_bytes, damage = 0, str(fault)
    whole = path.with_name(path.name.removesuffix(PART))
    if not entries:
        path.unlink()
        return f"{path} of an earlier run, {size_bytes} bytes, has no whole block, and is removed"
    os.ftruncate(fd, end_bytes)
    os.pwrite(fd, pack_index(entries), end_bytes)
    os.fsync(fd)
    path.rename(whole)
    sync_folder(whole.parent)
    cut = f"; its last {size_bytes - end_bytes} bytes, no whole block, are cut off" if damage else ""
    return f"{whole} of an earlier run is completed: {records} records in {len(entries)} blocks{cut}"
