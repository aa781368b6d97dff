"""What the part `workers` measures: a function for each row, run in a process of its own.

To add a row: a function here, marked with @row; and, if there is something to reach, a line in worker_figures of
harness/goals.py, which knows the row by its name.

    rows.py                             prints, as JSON, each row's name: what it lacks here, in_memory, and moving
    rows.py NAME FEED SECONDS FD        runs a row and prints, as JSON, records, wall_s and cpu_s

FEED is one pass of the feed, frames as they stand on a pipe; on FD come passes of it. Law: a row takes every record of
its pipe; one that is marked in_memory takes those of FEED again and again for SECONDS; to one that is marked moving
come passes each of which is later than the one before. Measured is the function alone, neither the start of Python, nor
the import of what an extra brings, nor the reading of FEED.
"""

import importlib
import importlib.util
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import orjson

import trade_balancer
import trade_balancer.columnar.reader
from trade_balancer.bars import BarOutput, Bars, Settings
from trade_balancer.columnar.decoder import Decoder
from trade_balancer.count import Count
from trade_balancer.frames import cut
from trade_balancer.jsonl import Jsonl
from trade_balancer.line_files import LineFiles, Rotation
from trade_balancer.output import LineOutput
from trade_balancer.parquet import Parquet, settings
from trade_balancer.parquet import Settings as ParquetSettings
from trade_balancer.ready_made import Worker, drain
from trade_balancer.record import Record
from trade_balancer.sql import Settings as SqlSettings
from trade_balancer.sql import Sql
from trade_balancer.sql_queue import TRANSACTION_ROWS
from trade_balancer.sql_rows import Rows
from trade_balancer.sql_sqlite import SqliteStore
from trade_balancer.sql_tables import TABLES
from trade_balancer.zones import NEW_YORK_IN_WINTER, Zone


@dataclass(frozen=True)
class Input:
    """The pipe; for rows in memory, one pass of records and how long to go on; and what stands around the row."""

    fd: int
    records: Sequence[bytes]
    seconds: float
    around: Any = None

    def again_and_again(self, take_pass: Callable[[Sequence[bytes]], object]) -> int:
        """Calls it with all records until the time is over; returns how many they were."""
        total = 0
        end_s = time.perf_counter() + self.seconds
        while time.perf_counter() < end_s:
            take_pass(self.records)
            total += len(self.records)
        return total


@dataclass(frozen=True)
class Row:
    name: str
    take: Callable[[Input], int]
    """Takes all records; returns how many they were."""
    in_memory: bool
    moving: bool
    wants: str
    around: Callable[[], AbstractContextManager[Any]]

    @property
    def lacks(self) -> str:
        package = self.wants.partition(".")[0]
        return package if package and importlib.util.find_spec(package) is None else ""


ROWS: dict[str, Row] = {}
os.environ["POLARS_MAX_THREADS"] = "1"  # read when it is imported


def row(
    name: str,
    *,
    in_memory: bool = False,
    moving: bool = False,
    wants: str = "",
    around: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Callable[[Callable[[Input], int]], None]:
    """wants: a package that comes with an extra, or a module of one. around: what it needs, made and ended untimed."""

    def add(take: Callable[[Input], int]) -> None:
        ROWS[name] = Row(name, take, in_memory, moving, wants, around)

    return add


def nothing(_record: object, _fd: int) -> None:
    """The handler of those that measure the SDK."""


@row("views of frames")
def _views(feed: Input) -> int:
    return sum(cut(view, 0, None)[1] for _, view in trade_balancer.views([feed.fd]))


@row("batches of bytes")
def _batches(feed: Input) -> int:
    return sum(len(records) for _, records in trade_balancer.batches([feed.fd]))


@row("bytes, a call for each")
def _raw(feed: Input) -> int:
    return trade_balancer.run(nothing, [feed.fd], raw=True).records


@row("a buffered read(4) + read(n)")
def _buffered(feed: Input) -> int:
    total = 0
    with open(feed.fd, "rb", closefd=False) as pipe:
        read = pipe.read
        while head := read(4):
            read(int.from_bytes(head, "little"))
            total += 1
    return total


@row("dicts")
def _dicts(feed: Input) -> int:
    return trade_balancer.run(nothing, [feed.fd]).records


@row("orjson.loads, in memory", in_memory=True)
def _orjson(feed: Input) -> int:
    loads = orjson.loads

    def take_pass(records: Sequence[bytes]) -> None:
        for record in records:
            loads(record)

    return feed.again_and_again(take_pass)


@row("typed objects", wants="msgspec")
def _typed(feed: Input) -> int:
    from trade_balancer.typed import decode

    return trade_balancer.run(nothing, [feed.fd], decode=decode).records


def _arrays(feed: Input, *names: str) -> int:
    """Columns of trades as NumPy arrays; nothing is done with them."""
    total = 0
    for batch in trade_balancer.columns([feed.fd], *names, events=["T"]):
        trades = batch["T"]
        for name in trades.names:
            trades[name]
        total += len(trades)
    return total


@row("columns: sym, p, s, t", wants="numpy")
def _four_columns(feed: Input) -> int:
    return _arrays(feed, "sym", "p", "s", "t")


@row("columns: all members", wants="numpy")
def _all_columns(feed: Input) -> int:
    return _arrays(feed)


def _lines(records: Sequence[bytes]) -> bytes:
    return b"\n".join(records) + b"\n"


@row("polars.read_ndjson, in memory", in_memory=True, wants="polars")
def _polars(feed: Input) -> int:
    import polars

    lines = _lines(feed.records)
    return feed.again_and_again(lambda _: polars.read_ndjson(lines, infer_schema_length=None))


@row("pyarrow.json, in memory", in_memory=True, wants="pyarrow")
def _pyarrow(feed: Input) -> int:
    import pyarrow
    from pyarrow import json as arrow_json

    lines = pyarrow.py_buffer(_lines(feed.records))
    options = arrow_json.ReadOptions(use_threads=False, block_size=1 << 24)
    return feed.again_and_again(lambda _: arrow_json.read_json(pyarrow.BufferReader(lines), options))


@row("DuckDB's read_json, a file in memory", in_memory=True, wants="duckdb")
def _duckdb(feed: Input) -> int:
    import duckdb

    connection = duckdb.connect(config={"threads": 1})
    with tempfile.NamedTemporaryFile(dir="/dev/shm", suffix=".json") as file:
        file.write(_lines(feed.records))
        file.flush()
        command = f"create or replace temp table t as from read_json('{file.name}', format='newline_delimited')"
        return feed.again_and_again(lambda _: connection.execute(command))


def _drained(worker: Worker, feed: Input) -> int:
    tally = drain(worker, [feed.fd])
    assert not tally.faults, tally.faults
    return tally.records


@row("lb-count")
def _count(feed: Input) -> int:
    with LineOutput(Path(os.devnull)) as output:
        return _drained(Count(output), feed)


def _barred(feed: Input, settings: Settings) -> int:
    with BarOutput(Path(os.devnull), settings) as output:
        worker = Bars(output)
        total = _drained(worker, feed)
    assert not worker.tally.results["late"], "late trades make no bars, and cost less than those that do"
    return total


@row("lb-bars", moving=True)
def _bars(feed: Input) -> int:
    return _barred(feed, Settings())


@row("lb-bars --interval 1m", moving=True)
def _bars_of_minutes(feed: Input) -> int:
    return _barred(feed, Settings(60_000))


@row("lb-jsonl")
def _jsonl(feed: Input) -> int:
    with tempfile.TemporaryDirectory() as folder:
        return _drained(Jsonl(lambda: LineFiles(Path(folder), "bench", ".jsonl", Rotation(1 << 28, 0))), feed)


@row("lb-record", wants="zstandard")
def _record(feed: Input) -> int:
    from trade_balancer.recording.files import RecordingFiles
    from trade_balancer.recording.files import Settings as RecordSettings

    with tempfile.TemporaryDirectory() as folder:
        settings = RecordSettings(Path(folder), "bench", Rotation(1 << 28, 0))
        return _drained(Record(lambda: RecordingFiles(settings)), feed)


@contextmanager
def _parquet_files() -> Iterator[ParquetSettings]:
    with tempfile.TemporaryDirectory() as folder:
        yield settings(Path(folder), Rotation(0, 0), Zone(NEW_YORK_IN_WINTER))  # imports what the extra brings


@row("lb-parquet", wants="pyarrow.parquet", around=_parquet_files)
def _parquet(feed: Input) -> int:
    return _drained(Parquet(feed.around), feed)


class _SqliteWithoutKey(SqliteStore):
    """In a folder of its own. Passes of a feed bring the same trades again: a key would keep all but the first out."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name, "db")
        with sqlite3.connect(path) as connection:
            connection.execute(f"CREATE TABLE trades ({TABLES['T'].quoted_columns})")
        super().__init__(path)

    def close(self) -> None:
        super().close()
        self._folder.cleanup()


def _parts_of_rows(feed: Input) -> list[list[Sequence[Any]]]:
    """One pass, as `lb-sql` makes rows of it for SQLite, in parts as large as its transactions."""
    decoder = Decoder(events=["T"])
    rows = Rows(decoder.symbols, Zone(NEW_YORK_IN_WINTER))
    frames = b"".join(len(record).to_bytes(4, "little") + record for record in feed.records)
    in_pass = [row for batch in decoder.decode([frames]) for row in rows.of(batch["T"])]
    return [in_pass[begin : begin + TRANSACTION_ROWS] for begin in range(0, len(in_pass), TRANSACTION_ROWS)]


@row("lb-sql, SQLite")
def _sql_sqlite(feed: Input) -> int:
    return _drained(Sql(SqlSettings(_SqliteWithoutKey)), feed)


@row("SQLite's executemany, in memory", in_memory=True)
def _executemany(feed: Input) -> int:
    store = _SqliteWithoutKey()
    parts = _parts_of_rows(feed)
    total = feed.again_and_again(lambda _: [store.write({TABLES["T"]: [part]}) for part in parts])
    store.close()
    return total


@contextmanager
def _postgresql() -> Iterator[str]:
    """A server of our own; trades have no key, see _SqliteWithoutKey."""
    import psycopg

    tests = Path(__file__).parents[3] / "tests" / "workers"
    sys.path += [str(tests), str(tests / "postgresql")]
    from postgresql_server import Server

    from trade_balancer.sql_postgresql import declared

    with Server() as server:
        with psycopg.connect(server.conninfo) as connection:
            connection.execute(f"CREATE TABLE trades ({declared(TABLES['T'])})")
        yield server.conninfo


@row("lb-sql, PostgreSQL", wants="psycopg", around=_postgresql)
def _sql_postgresql(feed: Input) -> int:
    from trade_balancer.sql_postgresql import PostgresqlStore

    return _drained(Sql(SqlSettings(lambda: PostgresqlStore(feed.around))), feed)


@row("psycopg's binary COPY, in memory", in_memory=True, wants="psycopg", around=_postgresql)
def _binary_copy(feed: Input) -> int:
    import psycopg

    from trade_balancer.sql_postgresql import types_of

    table = TABLES["T"]
    command = f"COPY trades ({table.quoted_columns}) FROM STDIN (FORMAT binary)"
    names = list(table.columns)
    day, conditions = names.index("day"), names.index("c")

    def as_python(row: Sequence[Any]) -> Sequence[Any]:
        values = list(row)
        values[day] = date.fromisoformat(row[day])
        values[conditions] = json.loads(row[conditions] or "null")
        return values

    parts = [list(map(as_python, part)) for part in _parts_of_rows(feed)]

    def copy(part: list[Sequence[Any]]) -> None:
        with connection.transaction(), connection.cursor().copy(command) as copied:
            copied.set_types(types_of(table))
            for each in part:
                copied.write_row(each)

    with psycopg.connect(feed.around, autocommit=True) as connection:
        return feed.again_and_again(lambda _: [copy(part) for part in parts])


def main(words: Sequence[str]) -> None:
    if not words:
        told = ("lacks", "in_memory", "moving")
        print(json.dumps({name: {word: getattr(each, word) for word in told} for name, each in ROWS.items()}))
        return
    name, feed, seconds, fd = words
    records: list[bytes] = []
    if ROWS[name].in_memory:
        cut(Path(feed).read_bytes(), 0, records)
    if ROWS[name].wants:
        importlib.import_module(ROWS[name].wants)
    with ROWS[name].around() as around:
        given = Input(int(fd), records, float(seconds), around)
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        total = ROWS[name].take(given)
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    print(json.dumps({"records": total, "wall_s": wall_s, "cpu_s": cpu_s}))


if __name__ == "__main__":
    main(sys.argv[1:])
