"""Class Decoder: frames in, batches of columns out.

Law: no input or output here, and no Python object per record.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from trade_balancer.columnar._columns import ffi, lib
from trade_balancer.columnar.batch import Batch
from trade_balancer.columnar.events import Column, choose
from trade_balancer.columnar.memory import Block, BlockPool
from trade_balancer.columnar.symbols import Symbols
from trade_balancer.columnar.tables import layouts

Frames = bytes | bytearray | memoryview


class Vectors(IntEnum):
    """Which instructions decode records: the widest that the CPU has, up to this."""

    BASELINE = lib.COLUMNS_BASELINE
    AVX2 = lib.COLUMNS_AVX2
    AVX512 = lib.COLUMNS_AVX512


@dataclass(frozen=True, slots=True)
class Counters:
    """Totals since the decoder began; all but the bytes and the layouts count records.

    `exact` were not in a layout that the fast path knows, or had a value that it leaves to the exact decoder; `others`
    are in no table, among them `misfit` and `bad` ones (see `Why`); `layouts` were learned.
    """

    records_total: int
    record_bytes_total: int
    exact_total: int
    others_total: int
    misfit_total: int
    bad_total: int
    layouts_total: int


class Decoder:
    """Decodes frames, as they are in a pipe, into batches of columns.

    Args:
        names, events: as for `columns`.
        vectors: use no wider ones, for tests of each kind.

    Raises:
        ValueError: see `columns`.

    Not for use by two threads at a time.
    """

    def __init__(
        self, names: Sequence[str] = (), events: Sequence[str] | None = None, vectors: Vectors = Vectors.AVX512
    ) -> None:
        self.tables = choose(names, events)
        specs = ffi.new("struct columns_event[]", max(1, len(self.tables)))
        for spec, (event, columns) in zip(specs, self.tables.items(), strict=False):
            _describe(spec, event, columns)
        decoder = lib.columns_new(specs, len(self.tables), vectors)
        if decoder == ffi.NULL:
            raise MemoryError("no memory for a decoder")
        self.pointer = ffi.gc(decoder, lib.columns_free)
        self.symbols = Symbols(self.pointer)
        self._blocks = BlockPool(self.pointer)
        self.layouts = layouts(self.tables, self._blocks.take())
        self._consumed_bytes = ffi.new("size_t *")
        self._counters = ffi.new("struct columns_counters *")

    @property
    def vectors(self) -> Vectors:
        return Vectors(lib.columns_vectors(self.pointer))

    def decode(self, views: Sequence[Frames], fd: int = -1) -> Generator[Batch, None, int]:
        """Yields batches of all the records of some views of whole frames: as few as there is room for, in order.

        A frame that is not whole ends its view. Returns how many bytes of the last view were whole frames. The batches
        do not refer to the views.

        Raises:
            MemoryError: what was yielded before is whole.
        """
        block = self._blocks.take()
        begin = 0
        for view in views:
            frames = ffi.from_buffer("uint8_t[]", view)
            begin = 0
            while True:
                is_full, taken_bytes = self._fill(block, frames + begin, len(view) - begin)
                begin += taken_bytes
                if not is_full:
                    break
                yield Batch(self, block, fd)
                block = self._blocks.take()
        if lib.columns_block_records(block.pointer):
            yield Batch(self, block, fd)
        return begin

    @property
    def records_total(self) -> int:
        """Records decoded so far, in tables or not."""
        lib.columns_counters(self.pointer, self._counters)
        return int(self._counters.records_total)

    def counters(self) -> Counters:
        """What became of them, until now."""
        lib.columns_counters(self.pointer, self._counters)
        return Counters(*(getattr(self._counters, name) for name in Counters.__slots__))

    def _fill(self, block: Block, frames: Any, length_bytes: int) -> tuple[bool, int]:
        """Decodes what frames there are, or the block has room for; returns whether it is full, and their bytes."""
        rc = lib.columns_decode(self.pointer, block.pointer, frames, length_bytes, self._consumed_bytes)
        if rc < 0:
            raise MemoryError(f"no memory to decode a record: {os.strerror(ffi.errno)}")
        return rc == lib.COLUMNS_FULL, self._consumed_bytes[0]


def _describe(spec: Any, event: str, columns: Sequence[Column]) -> None:
    spec.name = event.encode()
    spec.columns = len(columns)
    for place, column in zip(spec.column, columns, strict=False):
        place.name = column.name.encode()
        place.member = column.member.encode()
        place.format = column.kind.arrow_format.encode()
        place.kind = getattr(lib, f"COLUMNS_{column.kind.in_memory}")
