"""Rows of one event in Parquet files, each whole or not there (extra `parquet`).

Law: rows go to the disk a row group at a time, and a file without its end can't be read: what stands in one that was
not completed is lost, and said to be.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trade_balancer.columnar.events import EVENTS, EXACT, Column, Kind
from trade_balancer.errors import MissingExtraError, OutputError
from trade_balancer.line_files import Rotation
from trade_balancer.part_files import FileNames, PartFile, make_folder
from trade_balancer.zones import Zone

try:
    import pyarrow as pa
    from pyarrow import compute, parquet
except ImportError:
    raise MissingExtraError("lb-parquet", "pyarrow", "parquet") from None

if TYPE_CHECKING:
    from trade_balancer.columnar.tables import Table

SUFFIX = ".parquet"
NO_DATE = "__HIVE_DEFAULT_PARTITION__"  # Hive's word for none, which DuckDB, Spark and pyarrow know
_ROWS = 1 << 17
"""Of a row group: as large as DuckDB's."""
_KEPT_BATCHES = 8
"""Each keeps memory for thousands of rows, however few it has; and fewer than a pool of blocks, whose memory is not
fresh from the kernel."""
_MOST_OPEN = 8
"""Dates whose files are open at a time."""
_ZSTD_LEVEL = (
    1  # with these encodings files are as small as with 3 (15.0 bytes a trade), for three quarters of the time
)

# Else dictionaries, but for prices, which zstd packs better as they are; and of times alone the least and the most of a
# row group, which help nobody of other columns. Against pyarrow's own choice: half the size, half the time.
_ENCODINGS = {
    Kind.INT64: "DELTA_BINARY_PACKED",
    Kind.TIME_MS: "DELTA_BINARY_PACKED",
    Kind.TIME_NS: "DELTA_BINARY_PACKED",
    Kind.TEXT: "DELTA_LENGTH_BYTE_ARRAY",
}
_TIMES = (Kind.TIME_MS, Kind.TIME_NS)
_SIZES = {"s", "ds", "bs", "as", "ls", "v", "av", "dv", "dav", "z"}
_NS_PER_MS = 1_000_000


def column_names() -> list[str]:
    """All that the events have, prices also exactly."""
    columns = {column.name: column for columns in EVENTS.values() for column in columns}
    exact = {column.name for columns in EVENTS.values() for column in columns if is_exact(column)}
    return [name for column in columns for name in (column, *([column + EXACT] if column in exact else []))]


def is_exact(column: Column) -> bool:
    """Whether there is a column of its exact values: for prices, not for sizes."""
    return column.kind is Kind.DECIMAL and column.name not in _SIZES


class ParquetFiles:
    """Writes tables of one event to files FOLDER/EVENT/date=YYYY-MM-DD/EVENT-YYYYMMDDTHHMMSSZ-PID-N.parquet.

    The date is that of the rows, and the time in the name, UTC, that of the file's first row by the clock.
    `files_total`, `bytes_total` and `rows_total` are those of complete files.

    Args:
        folder: it must be there; those in it are made.
        rotation: when files are completed; their size does not count.
        clock: the wall clock, seconds since 1970.

    Raises, in each method:
        OutputError: a file can't be written. It is removed; the others can still be completed.
    """

    def __init__(
        self, folder: Path, event: str, rotation: Rotation, zone: Zone, clock: Callable[[], float] = time.time
    ) -> None:
        self.files_total = 0
        self.bytes_total = 0
        self.rows_total = 0
        self._folder = folder / event
        self._time = next(column for column in EVENTS[event] if column.kind in _TIMES)
        self._format = _format(event)
        self._names = FileNames(event, SUFFIX)
        self._rotation = rotation
        self._zone = zone
        self._clock = clock
        self._rows = _Rows()
        self._parts: dict[date | None, _ParquetPart] = {}
        self._begin_s = 0.0

    def write(self, table: Table) -> None:
        """Takes rows; they are kept in memory until they are a row group."""
        if self._is_empty:
            self._begin_s = self._clock()
        self._rows.add(table)
        if self._rows.count >= _ROWS:
            self._write_rows()

    @property
    def is_over(self) -> bool:
        """Whether the time of the files that are begun has passed: `close` should be called before `write`."""
        return not self._is_empty and self._rotation.period(self._clock()) != self._rotation.period(self._begin_s)

    def close(self) -> None:
        """Completes all files that can be; raises the first fault."""
        first: OutputError | None = None
        if self._rows.count:
            try:
                self._write_rows()
            except OutputError as fault:
                first = fault
        while self._parts:
            try:
                self._complete_oldest()
            except OutputError as fault:
                first = first or fault
        if first:
            raise first

    @property
    def _is_empty(self) -> bool:
        return not self._rows.count and not self._parts

    def _write_rows(self) -> None:
        for day, rows in _by_day(self._rows.take(), self._time, self._zone):
            self._add(day, rows)

    def _add(self, day: date | None, rows: pa.Table) -> None:
        part = self._parts.pop(day, None)
        if part is None:
            if len(self._parts) == _MOST_OPEN:
                self._complete_oldest()
            folder = self._folder / f"date={day or NO_DATE}"
            make_folder(folder)
            part = self._names.begin(folder, self._begin_s, lambda path: _ParquetPart(path, rows.schema, self._format))
        part.add(rows)
        self._parts[day] = part  # behind those that were written to before

    def _complete_oldest(self) -> None:
        part = self._parts.pop(next(iter(self._parts)))
        part.complete()
        self.files_total += 1
        self.bytes_total += part.path.stat().st_size
        self.rows_total += part.rows


class _ParquetPart(PartFile):
    """A Parquet file, which takes rows until it is complete; `rows` are those that it has taken."""

    def __init__(self, path: Path, schema: pa.Schema, arguments: Mapping[str, Any]) -> None:
        super().__init__(path)
        self.rows = 0
        with self._checked():
            self._sink = pa.OSFile(str(self.part_path), "wb")  # a way of its own to the file whose lock is held
            self._writer = parquet.ParquetWriter(self._sink, schema, **arguments)

    def add(self, rows: pa.Table) -> None:
        with self._checked():
            self._writer.write_table(rows, row_group_size=_ROWS)
        self.rows += rows.num_rows

    def complete(self) -> None:
        with self._checked():
            self._writer.close()
            self._sink.close()
        try:
            super().complete()
        except OutputError:
            self.part_path.unlink(missing_ok=True)
            raise

    @contextlib.contextmanager
    def _checked(self) -> Iterator[None]:
        try:
            with self.checked():
                yield
        except OutputError:
            self.part_path.unlink(missing_ok=True)
            raise


class _Rows:
    """Rows of one event, until they are a row group: of the last batches as they are, of all before as copies."""

    def __init__(self) -> None:
        self.count = 0
        self._tables: list[Table] = []
        self._columns: dict[str, list[pa.Array]] = {}
        self._symbols: dict[str, pa.Array] = {}

    def add(self, table: Table) -> None:
        self.count += len(table)
        self._tables.append(table)
        if len(self._tables) == _KEPT_BATCHES:
            self._copy()

    def take(self) -> pa.Table:
        """All of them, as one table; there must be one."""
        self._copy()
        columns, symbols = self._columns, self._symbols
        self.count = 0
        self._columns, self._symbols = {}, {}
        arrays = {
            name: pa.DictionaryArray.from_arrays(pa.concat_arrays(pieces), symbols[name])
            if name in symbols
            else pa.chunked_array(pieces)
            for name, pieces in columns.items()
        }
        return pa.table({name.replace(EXACT, "_exact"): array for name, array in arrays.items()})

    def _copy(self) -> None:
        if not self._tables:
            return
        batches = [pa.record_batch(table) for table in self._tables]
        self._tables.clear()
        for number, name in enumerate(batches[-1].schema.names):
            arrays = [batch.column(number) for batch in batches]
            if pa.types.is_dictionary(arrays[-1].type):
                self._symbols[name] = arrays[-1].dictionary  # it grows only: the last one has all codes
                arrays = [array.indices for array in arrays]
            self._columns.setdefault(name, []).append(pa.concat_arrays(arrays))


def _format(event: str) -> dict[str, Any]:
    """How the columns are written: the arguments of a ParquetWriter."""
    dictionaries: list[str] = []
    encodings: dict[str, str] = {}
    for column in EVENTS[event]:
        if column.kind in _ENCODINGS:
            encodings[column.name] = _ENCODINGS[column.kind]
        elif column.kind is Kind.INTS:
            dictionaries.append(f"{column.name}.list.element")
        elif is_exact(column):
            dictionaries.append(f"{column.name}_exact.exponent")
        else:
            dictionaries.append(column.name)
    return {
        "compression": "zstd",
        "compression_level": _ZSTD_LEVEL,
        "use_dictionary": dictionaries,
        "column_encoding": encodings,
        "write_statistics": [column.name for column in EVENTS[event] if column.kind in _TIMES],
    }


def _by_day(rows: pa.Table, time: Column, zone: Zone) -> Iterator[tuple[date | None, pa.Table]]:
    """The rows of each day; `time` is the column that tells."""
    scale = _NS_PER_MS if time.kind is Kind.TIME_NS else 1
    times = rows[time.name].cast(pa.int64())
    least, most = (bound.as_py() for bound in compute.min_max(times).values())
    if not times.null_count and zone.day(least // scale) == zone.day(most // scale):
        yield zone.date(least // scale), rows
        return
    places: dict[date | None, list[int]] = {}
    for place, value in enumerate(times.to_pylist()):
        places.setdefault(zone.date(None if value is None else value // scale), []).append(place)
    for found, at in places.items():
        yield found, rows.take(pa.array(at))
