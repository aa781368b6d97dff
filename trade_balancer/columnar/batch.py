"""A batch: the tables that a read of a pipe brought, and the records that are in none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal, overload

from trade_balancer.columnar._columns import ffi, lib
from trade_balancer.columnar.memory import Block
from trade_balancer.columnar.tables import (
    TABLES,
    Aggregates,
    CryptoQuotes,
    CryptoTrades,
    FairMarketValues,
    ForexQuotes,
    IndexValues,
    PriceBands,
    Quotes,
    Table,
    Trades,
)

if TYPE_CHECKING:
    from trade_balancer.columnar.decoder import Decoder


class Why(IntEnum):
    """Why a record is in no table."""

    OTHER_EVENT = lib.COLUMNS_OTHER_EVENT
    """It is of an event that has no table here."""
    MISFIT = lib.COLUMNS_MISFIT
    """A chosen member is of another type than its column, or does not fit into it; or the record is over 1 MiB long."""
    BAD = lib.COLUMNS_BAD
    """It is not a JSON object."""


class Others(Sequence[bytes]):
    """The records of a batch that are in none of its tables, as they came, in order.

    `order` tells each one's place among all the records of the batch, as `Table.order` does; `why` the reason.
    """

    def __init__(self, block: Block) -> None:
        self._block = block
        self._others = lib.columns_block_others(block.pointer)

    def __len__(self) -> int:
        return int(self._others.records)

    @overload
    def __getitem__(self, number: int) -> bytes: ...
    @overload
    def __getitem__(self, number: slice) -> list[bytes]: ...
    def __getitem__(self, number: int | slice) -> bytes | list[bytes]:
        if isinstance(number, slice):
            return [self._record(one) for one in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(f"record {number} of {len(self)}")
        return self._record(number % len(self))

    def why(self, number: int) -> Why:
        self[number]
        return Why(self._others.why[number % len(self)])

    def bad(self) -> list[bytes]:
        """Those that are no JSON objects."""
        whys = self._others.why
        return [self._record(number) for number in range(len(self)) if whys[number] == Why.BAD]

    @property
    def order(self) -> memoryview:
        """Of each record, how many of the batch came before it (uint32)."""
        return self._block.view(self._block.offset_bytes(self._others.order), len(self), 4, "I")

    def _record(self, number: int) -> bytes:
        begin, end = self._others.offsets[number], self._others.offsets[number + 1]
        return bytes(ffi.buffer(self._others.bytes + begin, end - begin)) if end > begin else b""


class Batch:
    """Records of one pipe, in tables by event: `batch["T"]` are its `Trades`, and so on (see `TABLES`).

    Iterating gives the tables that have rows. `fd` is the pipe (-1 without one), `len(batch)` the number of records.

    What a table gives out looks into memory that is the batch's own, and keeps it alive: any of it may be kept for as
    long as one likes. Where nothing of a batch is kept, its memory is used again for a later one.
    """

    __slots__ = ("_block", "_decoder", "fd")

    def __init__(self, decoder: Decoder, block: Block, fd: int) -> None:
        self._decoder = decoder
        self._block = block
        self.fd = fd

    def __len__(self) -> int:
        return lib.columns_block_records(self._block.pointer)

    @overload
    def __getitem__(self, event: Literal["T"]) -> Trades: ...
    @overload
    def __getitem__(self, event: Literal["Q"]) -> Quotes: ...
    @overload
    def __getitem__(self, event: Literal["A", "AM"]) -> Aggregates: ...
    @overload
    def __getitem__(self, event: Literal["XT"]) -> CryptoTrades: ...
    @overload
    def __getitem__(self, event: Literal["XQ"]) -> CryptoQuotes: ...
    @overload
    def __getitem__(self, event: Literal["C"]) -> ForexQuotes: ...
    @overload
    def __getitem__(self, event: Literal["V"]) -> IndexValues: ...
    @overload
    def __getitem__(self, event: Literal["LULD"]) -> PriceBands: ...
    @overload
    def __getitem__(self, event: Literal["FMV"]) -> FairMarketValues: ...
    @overload
    def __getitem__(self, event: str) -> Table: ...
    def __getitem__(self, event: str) -> Table:
        """The event's table, which may be empty.

        Raises:
            KeyError: no column of it was chosen.
        """
        return TABLES[event](self._decoder, self._block, event)

    def __iter__(self) -> Iterator[Table]:
        for event in self._decoder.tables:
            table = self[event]
            if len(table):
                yield table

    @property
    def events(self) -> Iterable[str]:
        """Those that have tables."""
        return self._decoder.tables.keys()

    @property
    def others(self) -> Others:
        return Others(self._block)

    @property
    def symbols(self) -> Sequence[str]:
        """`symbols[code]` for the codes in columns of symbols: `Decoder.symbols`."""
        return self._decoder.symbols

    def __repr__(self) -> str:
        counts: list[Any] = [f"{table.event}: {len(table)}" for table in self]
        if self.others:
            counts.append(f"others: {len(self.others)}")
        return f"<Batch of fd {self.fd}: {', '.join(counts) or 'empty'}>"
