"""Writes recordings, one file after the other: a new one by size and by time, each whole or called .part.

Law: batches of bytes, and no Python object for a record. What is in a block that has been written survives this
process; what is in a file that is complete, or older than `Settings.sync_s`, survives the machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trade_balancer.columnar._columns import ffi, lib
from trade_balancer.frames import cut
from trade_balancer.line_files import Rotation
from trade_balancer.part_files import FileNames, PartFile
from trade_balancer.pipes import READ_BYTES
from trade_balancer.recording.block import Block, Compressor, Entry, new_compressor, pack_block, pack_head, pack_index

SUFFIX = ".jsonl.zst"
BLOCK_S = 1.0
"""A block is written when it is so old, though it is not full."""
_NS_PER_S = 10**9


@dataclass(frozen=True)
class Settings:
    """Where and how recordings are written. `about` is what each file's head says."""

    folder: Path
    prefix: str
    rotation: Rotation
    level: int = 1
    """Of zstd: 1 is fast, 19 small."""
    block_bytes: int = 1 << 20
    """A block is written when its lines have so many, or more by one batch."""
    sync_s: float = 5.0
    """What was written is on the disk, fdatasync(2), after so long; 0: when the file is complete."""
    about: dict[str, Any] = field(default_factory=dict)


class RecordingFiles:
    """Takes batches of frames; `files_total` and `bytes_total`, as they lie on the disk, are those of complete files;
    `records_total` are in blocks that were written, markers left out, which say that `dropped_total` are missing.

    Raises, in each method:
        OutputError: a file can't be written. It stays behind as .part, and nothing is written any more.
    """

    def __init__(self, settings: Settings) -> None:
        self.files_total = self.bytes_total = self.records_total = self.dropped_total = 0
        self.last_record = b""
        """Of the batch that was added last; a line feed in it is a space."""
        self._settings = settings
        self._names = FileNames(settings.prefix, SUFFIX)
        self._compressor = new_compressor(settings.level)
        self._text = bytearray(settings.block_bytes + 2 * READ_BYTES)
        self._lines = ffi.new("struct recording_lines *")
        self._block = Block(b"")
        self._used_bytes = 0
        self._begin_ns: int | None = None
        """When the first batch was received of the file that is open, or that begins with this block."""
        self._file: _RecordingFile | None = None

    def add(self, frames: Iterable[memoryview], time_ns: int) -> None:
        """Takes a batch: views of whole frames, and when it was received, ns since 1970 UTC."""
        self.tick(time_ns)
        before = self._lines.records
        for view in frames:
            self._append(view)
        if count := self._lines.records - before:
            self._block.times_ns.append(time_ns)
            self._block.counts.append(count)
            if self._begin_ns is None:
                self._begin_ns = time_ns
            self.last_record = self._last_record()
            if self._used_bytes >= self._settings.block_bytes:
                self._put_block(time_ns)

    def tick(self, now_ns: int) -> None:
        """Writes the block if it is old enough, and completes the file if its time is over.

        To be called as often as blocks and files may be late.
        """
        period = self._settings.rotation.period
        if self._begin_ns is not None and period(now_ns / _NS_PER_S) != period(self._begin_ns / _NS_PER_S):
            self.close()
        elif self._block.times_ns and not 0 <= now_ns - self._block.times_ns[0] < BLOCK_S * _NS_PER_S:
            self._put_block(now_ns)

    def flush(self, now_ns: int) -> None:
        """Writes the block, full or not."""
        self._put_block(now_ns)

    @property
    def is_flushed(self) -> bool:
        """Whether the kernel has all that was added."""
        return not self._block.times_ns

    def close(self) -> None:
        """Writes the block, and completes the file, if there is one that has not failed."""
        if self._file is None or not self._file.has_failed:
            self._put_block(self._block.times_ns[-1] if self._block.times_ns else 0)
            self._complete()

    def _last_record(self) -> bytes:
        end = self._used_bytes - 1
        return bytes(self._text[self._text.rfind(b"\n", 0, end) + 1 : end])

    def _append(self, view: memoryview) -> None:
        needed_bytes = self._used_bytes + len(view)
        if needed_bytes > len(self._text):
            self._text = self._text[: self._used_bytes] + bytes(needed_bytes - self._used_bytes)
        newlines_before = self._lines.newlines
        to = ffi.from_buffer("uint8_t[]", self._text) + self._used_bytes
        written = lib.recording_lines(ffi.from_buffer("uint8_t[]", view), len(view), to, self._lines)
        assert written >= 0, "a view of frames that are not whole"
        if self._lines.newlines != newlines_before:
            self._note_newlines(view)
        self._used_bytes += written

    def _note_newlines(self, view: memoryview) -> None:
        """The exact way, for the rare records that have some."""
        records: list[bytes] = []
        cut(view, 0, records)
        begin = self._used_bytes
        for record in records:
            at = record.find(b"\n")
            while at >= 0:
                self._block.newlines.append(begin + at)
                at = record.find(b"\n", at + 1)
            begin += len(record) + 1

    def _put_block(self, now_ns: int) -> None:
        if not self._block.times_ns:
            return
        if self._file is None:
            assert self._begin_ns is not None
            self._file = self._names.begin(self._settings.folder, self._begin_ns / _NS_PER_S, self._begin)
        self._block.text = memoryview(self._text)[: self._used_bytes]
        self._block.dropped = self._lines.dropped
        self._file.put(self._block, self._compressor)
        self.records_total += self._lines.records - self._lines.markers
        self.dropped_total += self._lines.dropped
        self._block = Block(b"")
        self._used_bytes = 0
        self._lines = ffi.new("struct recording_lines *")
        self._file.sync(now_ns, self._settings.sync_s)
        if 0 < self._settings.rotation.most_bytes <= self._file.size_bytes:
            self._complete()

    def _begin(self, path: Path) -> _RecordingFile:
        assert self._begin_ns is not None
        return _RecordingFile(path, self._begin_ns, self._settings.about)

    def _complete(self) -> None:
        file, self._file = self._file, None
        self._begin_ns = None
        if file is not None:
            file.complete()
            self.files_total += 1
            self.bytes_total += file.size_bytes


class _RecordingFile(PartFile):
    """A recording that is being written; `size_bytes` as it lies on the disk."""

    def __init__(self, path: Path, begin_ns: int, about: dict[str, Any]) -> None:
        super().__init__(path)
        self.size_bytes = 0
        self._entries: list[Entry] = []
        self._records = 0
        self._synced_ns = begin_ns
        self.write(pack_head({"began_ns": begin_ns, **about}))

    def put(self, block: Block, compressor: Compressor) -> None:
        entry = Entry(self.size_bytes, block.times_ns[0], block.times_ns[-1], self._records)
        self.write(pack_block(len(self._entries), block, compressor))
        self._entries.append(entry)
        self._records += block.records

    def sync(self, now_ns: int, every_s: float) -> None:
        if every_s and not 0 <= now_ns - self._synced_ns < every_s * _NS_PER_S:
            self._synced_ns = now_ns
            with self.checked():
                os.fdatasync(self.fd)

    def complete(self) -> None:
        self.write(pack_index(self._entries))
        super().complete()

    def write(self, data: bytes) -> None:
        self.size_bytes += len(data)
        super().write(data)
