"""Columns as NumPy arrays: the one file that needs NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, overload

from trade_balancer.columnar.events import Kind
from trade_balancer.errors import MissingExtraError

try:
    import numpy as np
except ImportError:
    raise MissingExtraError("a column as an array", "numpy", "columns") from None

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trade_balancer.columnar.tables import Place


class Texts(Sequence[str]):
    """A column of texts: `texts[row]` is one. `offsets` (int32, one more than rows) are places in `data` (UTF-8)."""

    def __init__(self, offsets: NDArray[np.int32], data: NDArray[np.uint8]) -> None:
        self.offsets = offsets
        self.data = data

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        begin, end = _bounds(self.offsets, row)
        return self.data[begin:end].tobytes().decode()


class Lists(Sequence["NDArray[np.int32]"]):
    """A column of lists: `lists[row]` is one. `offsets` (int32, one more than rows) are places in `items` (int32)."""

    def __init__(self, offsets: NDArray[np.int32], items: NDArray[np.int32]) -> None:
        self.offsets = offsets
        self.items = items

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, row: int) -> NDArray[np.int32]: ...
    @overload
    def __getitem__(self, row: slice) -> list[NDArray[np.int32]]: ...
    def __getitem__(self, row: int | slice) -> NDArray[np.int32] | list[NDArray[np.int32]]:
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        begin, end = _bounds(self.offsets, row)
        return self.items[begin:end]


class Exacts(Sequence[Decimal]):
    """A column of exact decimals: `exacts[row]` is one, `mantissas[row]` (int64) * 10 ** `exponents[row]` (int16)."""

    def __init__(self, mantissas: NDArray[np.int64], exponents: NDArray[np.int16]) -> None:
        self.mantissas = mantissas
        self.exponents = exponents

    def __len__(self) -> int:
        return len(self.mantissas)

    @overload
    def __getitem__(self, row: int) -> Decimal: ...
    @overload
    def __getitem__(self, row: slice) -> list[Decimal]: ...
    def __getitem__(self, row: int | slice) -> Decimal | list[Decimal]:
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        return Decimal(int(self.mantissas[row])).scaleb(int(self.exponents[row]))


_DTYPES = {letter: np.dtype(name) for letter, name in {"b": "i1", "i": "i4", "q": "i8", "d": "f8"}.items()}


def column(memory: memoryview, place: Place, rows: int) -> Any:
    """What `Table.__getitem__` says, of the column at this place of a block."""
    dtype = _DTYPES[place.letter]
    if place.is_plain:
        return np.frombuffer(memory, dtype, rows, place.values)
    if place.kind is Kind.EXACT:
        exponents = np.frombuffer(memory, np.int16, rows, place.more)
        return Exacts(np.frombuffer(memory, dtype, rows, place.values), exponents)
    offsets = np.frombuffer(memory, dtype, rows + 1, place.values)
    count = int(offsets[-1])
    if place.kind is Kind.TEXT:
        return Texts(offsets, np.frombuffer(memory, np.uint8, count, place.more))
    return Lists(offsets, np.frombuffer(memory, np.int32, count, place.more))


def valid(bitmap: memoryview, rows: int) -> NDArray[np.bool_]:
    """What `Table.valid` says of Arrow's bitmap."""
    return np.unpackbits(np.asarray(bitmap), count=rows, bitorder="little").view(np.bool_)


def _bounds(offsets: NDArray[np.int32], row: int) -> tuple[int, int]:
    rows = len(offsets) - 1
    if not -rows <= row < rows:
        raise IndexError(f"row {row} of {rows}")
    row %= rows
    return int(offsets[row]), int(offsets[row + 1])
