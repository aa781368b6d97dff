"""A recording in a file, whole or torn: blocks one by one, from any time on.

Law: what is handed out was written so. Where the file is damaged, or torn, the blocks before are handed out, and
`damage` says the rest.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from trade_balancer.errors import InputError
from trade_balancer.recording.block import (
    BLOCK_HEAD_BYTES,
    HEAD,
    INDEX,
    INDEX_END_BYTES,
    KIND_BYTES,
    Block,
    BlockHead,
    DamageError,
    Entry,
    check_block,
    index_bytes,
    kind_of,
    unpack_block,
    unpack_block_head,
    unpack_head,
    unpack_index,
)

_HEAD_MOST_BYTES = 1 << 20


def is_recording(path: Path) -> bool:
    """Whether the file begins as one. Raises OSError."""
    with path.open("rb") as file:
        return kind_of(file.read(KIND_BYTES)) == HEAD


class Recording:
    """`about` is what was written at its start. A context manager.

    Raises:
        InputError: it can't be read, or its head is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage = ""
        """What is wrong with the file, in words, as far as it was read."""
        self.is_complete = False
        """Its index was read: it was not cut short. Known once the blocks have been read to their end."""
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as fault:
            raise InputError(f"{path}: {fault.strerror}") from fault
        try:
            self._size_bytes = os.fstat(self._fd).st_size
            self.about, self._begin_bytes = unpack_head(self._read(0, _HEAD_MOST_BYTES))
        except (OSError, DamageError) as fault:
            os.close(self._fd)
            raise InputError(f"{path}: no recording: {fault}") from fault
        self.end_bytes = self._begin_bytes
        """Where the last whole block that was read ends."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._fd)

    def blocks(self, from_ns: int | None = None) -> Iterator[Block]:
        """All whole blocks up to the file's end, or the damage; or those from the one on that has what was received at
        `from_ns` (ns since 1970 UTC) or next after it."""
        number, offset_bytes = 0, self._begin_bytes
        if from_ns is not None:
            number, offset_bytes = self._find(from_ns)
        for head, data in self._walk(number, offset_bytes):
            try:
                block = unpack_block(head, data)
            except DamageError as fault:
                self._note(self.end_bytes, fault)
                return
            self.end_bytes += len(data)
            yield block

    def whole(self) -> Iterator[tuple[BlockHead, Entry]]:
        """As `blocks`, but only the checksums are looked at, and nothing is unpacked."""
        records = 0
        for head, data in self._walk(0, self._begin_bytes):
            try:
                check_block(head, data)
            except DamageError as fault:
                self._note(self.end_bytes, fault)
                return
            yield head, Entry(self.end_bytes, head.first_ns, head.last_ns, records)
            self.end_bytes += len(data)
            records += head.records

    def entries(self) -> list[Entry]:
        """The index; where there is none, or it is damaged, it is made of the heads of the blocks, which are not
        believed before they are read."""
        ending_bytes = index_bytes(self._read(max(self._size_bytes - INDEX_END_BYTES, 0), INDEX_END_BYTES))
        if KIND_BYTES <= ending_bytes <= self._size_bytes - self._begin_bytes:
            try:
                return unpack_index(self._read(self._size_bytes - ending_bytes, ending_bytes))
            except DamageError:
                pass
        return list(self._entries_of_heads())

    def _find(self, from_ns: int) -> tuple[int, int]:
        """The number of the first block with something received then or later, and where it begins."""
        entries = self.entries()
        for number, entry in enumerate(entries):
            if entry.last_ns >= from_ns:
                return number, entry.offset_bytes
        return len(entries), self._size_bytes

    def _entries_of_heads(self) -> Iterator[Entry]:
        offset_bytes, records = self._begin_bytes, 0
        while True:
            try:
                head = unpack_block_head(self._read(offset_bytes, BLOCK_HEAD_BYTES))
            except DamageError:
                return
            if offset_bytes + head.size_bytes > self._size_bytes:
                return
            yield Entry(offset_bytes, head.first_ns, head.last_ns, records)
            offset_bytes += head.size_bytes
            records += head.records

    def _walk(self, number: int, offset_bytes: int) -> Iterator[tuple[BlockHead, bytes]]:
        """Each block's head and bytes, which nobody has looked at; who takes one moves `end_bytes` behind it."""
        self.end_bytes = offset_bytes
        while self.end_bytes < self._size_bytes:
            begin_bytes = self.end_bytes
            try:
                ahead = self._read(begin_bytes, BLOCK_HEAD_BYTES)
                if kind_of(ahead) == INDEX:
                    self._end(begin_bytes)
                    return
                head = unpack_block_head(ahead)
                if head.number != number:
                    raise DamageError(f"block {head.number} stands where block {number} should")
                if head.size_bytes > self._size_bytes - begin_bytes:
                    left_bytes = self._size_bytes - begin_bytes
                    raise DamageError(f"it ends inside a block: {left_bytes} of {head.size_bytes} bytes")
            except DamageError as fault:
                self._note(begin_bytes, fault)
                return
            yield head, self._read(begin_bytes, head.size_bytes)
            if self.end_bytes == begin_bytes:
                return
            number += 1

    def _end(self, begin_bytes: int) -> None:
        unpack_index(self._read(begin_bytes, self._size_bytes - begin_bytes))
        self.is_complete = True

    def _note(self, offset_bytes: int, fault: DamageError) -> None:
        left_bytes = self._size_bytes - offset_bytes
        self.damage = f"{self.path}: damaged at byte {offset_bytes}: {fault}; its last {left_bytes} bytes are not read"

    def _read(self, offset_bytes: int, size_bytes: int) -> bytes:
        parts = []
        while size_bytes and (part := os.pread(self._fd, size_bytes, offset_bytes)):
            parts.append(part)
            offset_bytes += len(part)
            size_bytes -= len(part)
        return b"".join(parts)
