"""What `lb-sql` wants of a database.

Law: `write` is one transaction: all rows or none. No text and no error shows what is secret in a connection string.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Any

from trade_balancer.columnar.symbols import Symbols
from trade_balancer.columnar.tables import Table
from trade_balancer.sql_progress import Step
from trade_balancer.sql_tables import SqlTable
from trade_balancer.zones import Zone

Waiting = Mapping[SqlTable, Sequence[Any]]
"""For each table some batches of rows, as the store that they are for has made them."""


class StoreGoneError(Exception):
    """The database can't be written now; the same rows may be tried again later, on a new connection."""


class Store(ABC):
    """A connection to a database, opened by the first `write` or by `open`, and again after a StoreGoneError."""

    name: str
    """Which database it is, in words that anybody may see."""

    @abstractmethod
    def rows(self, symbols: Symbols, zone: Zone) -> Callable[[Table, int], Sized]:
        """What makes rows, in this database's form, of tables with these symbols, from the row on that is told.

        In the key of trades no member is null: exchange and reporting facility are 0 where there is none, and the id
        is "q" and the sequence number (options and futures have no ids). Where that is missing, too, the id is null,
        and the trade is like no other.
        """

    @abstractmethod
    def other_rows(self, records: Sequence[bytes], received_ms: int) -> Sized:
        """Rows of OTHERS."""

    @abstractmethod
    def open(self) -> None:
        """Opens the connection, if it is not.

        Raises:
            StoreGoneError: it can't be had now.
            OutputError: it can't be had.
        """

    @abstractmethod
    def stored(self, run: str) -> dict[int, int]:
        """By pipe, how far the records of this life of lb are stored: the number of the first that is not.

        Raises:
            StoreGoneError, OutputError: as `open`.
        """

    @abstractmethod
    def write(self, rows: Waiting, steps: Sequence[Step] = ()) -> int:
        """Adds the rows, but for those whose key is there already, and the steps that they are; missing tables are
        made. Returns how many rows it added; 0 where the same steps were made already.

        Raises:
            StoreGoneError, OutputError: none was added; or all, where the connection broke at the very end.
        """

    @abstractmethod
    def close(self) -> None:
        """Closes the connection, if it is open."""
