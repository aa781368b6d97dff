"""The memory of batches: blocks that C fills and everybody looks into.

Law: a block is used again only when nobody refers to it: no batch, no NumPy view of one, no Arrow array. Each of them
holds a reference of its own, counted in C, and may outlive the reader.
"""

from __future__ import annotations

from typing import Any

from trade_balancer.columnar._columns import ffi, lib

ROWS = 8192
"""Rows that a table of a block has room for."""
TEXT_BYTES = 1 << 20
"""Bytes of the records in a table of a block, at most: a longer record is among the others."""

_KEPT_BLOCKS = 12


class Block:
    """A reference to a block; `memory` is all of it, as bytes, and keeps the reference alive.

    Args:
        pointer: a struct columns_block *, with a reference that this takes over.
    """

    __slots__ = ("memory", "pointer")

    def __init__(self, pointer: Any) -> None:
        self.pointer = ffi.gc(pointer, lib.columns_block_release)
        self.memory = memoryview(ffi.buffer(self.pointer, lib.columns_block_bytes(pointer))).toreadonly()

    def offset_bytes(self, pointer: Any) -> int:
        """Where in the block a pointer into it points to."""
        return int(ffi.cast("uintptr_t", pointer)) - int(ffi.cast("uintptr_t", self.pointer))

    def view(self, offset_bytes: int, count: int, item_bytes: int, format_: Any) -> memoryview[Any]:
        """`count` items; `format_` as in the module struct."""
        view: memoryview[Any] = self.memory[offset_bytes : offset_bytes + count * item_bytes].cast(format_)
        return view


class BlockPool:
    """Hands out empty blocks, those first that were used before: fresh memory costs a page fault per 4 KiB.

    Args:
        decoder: a struct columns_decoder *, which must live as long as the pool.
    """

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        self._kept: list[Any] = []

    def take(self) -> Block:
        """Raises MemoryError."""
        for pointer in self._kept:
            if lib.columns_block_references(pointer) == 1:  # the pool's own
                lib.columns_block_clear(pointer)
                lib.columns_block_retain(pointer)
                return Block(pointer)
        pointer = lib.columns_block_new(self._decoder, ROWS, TEXT_BYTES)
        if pointer == ffi.NULL:
            raise MemoryError("no memory for a block of columns")
        if len(self._kept) < _KEPT_BLOCKS:
            lib.columns_block_retain(pointer)
            self._kept.append(ffi.gc(pointer, lib.columns_block_release))
        return Block(pointer)
