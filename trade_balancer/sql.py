"""`lb-sql`: stores the records in a database: SQLite, PostgreSQL or QuestDB.

Law: what was received is in the database, or waits for it in memory, within a bound; what the worker could not store at
its end is counted and told. No credential is shown.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sized
from contextlib import AbstractContextManager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from trade_balancer.column_worker import ColumnWorker
from trade_balancer.columnar.batch import Batch
from trade_balancer.command import natural
from trade_balancer.errors import OutputError, UsageError, tell
from trade_balancer.ready_made import serve
from trade_balancer.sql_progress import Progress
from trade_balancer.sql_queue import RowQueue
from trade_balancer.sql_sqlite import SqliteStore
from trade_balancer.sql_store import Store, StoreGoneError
from trade_balancer.sql_tables import OTHERS, TABLES, SqlTable
from trade_balancer.tally import Tally
from trade_balancer.zones import NEW_YORK_IN_WINTER, Zone, add_zone_option

if TYPE_CHECKING:
    from trade_balancer.sql_postgresql import PostgresqlStore
    from trade_balancer.sql_questdb import QuestdbStore

_TICK_S = 0.5
_NS_PER_MS = 1_000_000
_POSTGRESQL = ("postgresql:", "postgres:")
_QUESTDB = ("questdb:", "questdbs:")


class Settings(NamedTuple):
    """What a process begins with: a connection of its own, how many records may wait for it, for how long at the end;
    whose days are meant; which life of lb it is of, and how far that is stored, by pipe.
    """

    store: Callable[[], Store]
    most_rows: int = 200_000
    last_s: float = 30
    zone: Zone = Zone(NEW_YORK_IN_WINTER)
    run: str = ""
    stored: Mapping[int, int] = MappingProxyType({})


class Sql(ColumnWorker):
    """Rows of each event in a table of its own."""

    description = """\
Stores the records in a database, a table for each event (trades, quotes, ...; they are made where they are missing), in
transactions of about a second. A trade that is there already, by day, symbol, exchange and id, is left as it is: it may
come twice. Records without a table (of other events, with values that fit no column, or no JSON objects) are stored as
they came in the table others. While the database is away, records wait in memory, and then in the pipes."""
    summary_help = (
        "; stored, the records that are in the database; added, those that were not there before; others, those in the "
        "table others; not_stored"
    )
    idle_s = _TICK_S
    finishes_later = True
    output: Settings

    def __init__(self, output: Settings) -> None:
        super().__init__(output)
        store = output.store()
        self._rows = store.rows(self.decoder.symbols, output.zone)
        self._store = store
        self._progress = Progress(self.unfinished, output.run, output.stored)
        self._queue = RowQueue(store, self._progress, output.most_rows, output.last_s)

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--database",
            metavar="WHERE",
            default="records.db",
            help="a file of SQLite's; postgresql://USER@HOST/NAME, which needs the extra postgresql; "
            "questdb://HOST:PORT, which needs the extra questdb; or @FILE, a file with such a URL, in which a password "
            "may be, too (default: records.db here)",
        )
        parser.add_argument(
            "--keep",
            metavar="RECORDS",
            type=natural,
            default=200_000,
            help="how many records may wait in memory while the database is away, in each process (default: 200000)",
        )
        parser.add_argument(
            "--give-up",
            metavar="S",
            type=natural,
            default=30,
            help="for how long the database is tried again when the pipes have ended; lb's --grace should be longer "
            "(default: 30)",
        )
        add_zone_option(parser, "the day that tells trades apart is that of the record's t", NEW_YORK_IN_WINTER)

    @staticmethod
    def open_output(options: argparse.Namespace) -> AbstractContextManager[Settings]:
        run = os.environ.get("LB_RUN", "")
        settings = Settings(_store(options.database), options.keep, options.give_up, options.zone, run)
        store = settings.store()
        try:
            store.open()
            stored = store.stored(run) if run else {}
        except StoreGoneError as fault:
            raise OutputError(str(fault)) from fault
        store.close()  # each process has its own
        return contextlib.nullcontext(settings._replace(stored=stored))

    def take(self, round_: list[Batch]) -> None:
        if round_:
            rows = [one for batch in round_ for one in self._rows_of(batch)]
            self._queue.put(rows, self.unfinished.mark())
        self._queue.tick(self.unfinished.is_much())

    def _rows_of(self, batch: Batch) -> Iterator[tuple[SqlTable, Sized]]:
        """Of those of its records that are not in the database yet."""
        stored = self._progress.read(batch.fd, len(batch))
        for table in batch:
            yield TABLES[table.event], self._rows(table, bisect_left(table.order, stored))
        others = batch.others[bisect_left(batch.others.order, stored) :]
        if others:
            yield OTHERS, self._store.other_rows(others, time.time_ns() // _NS_PER_MS)
            self.tally.results["others"] += len(others)

    def finish(self) -> None:
        queue = self._queue
        try:
            queue.finish()
        except OutputError as fault:
            tell(f"{queue.rows} records are not stored")
            if not self.tally.faults:
                raise fault
        finally:
            self._store.close()
            self.tally.results.update(stored=queue.stored_total, added=queue.added_total, not_stored=queue.rows)

    @staticmethod
    def conclude(total: Tally, output: Any) -> dict[str, Any]:
        return {name: total.results[name] for name in ("stored", "added", "others", "not_stored")}


def _store(where: str) -> Callable[[], Store]:
    """Raises WorkerError: it can't be used."""
    if not where.startswith(("@", *_POSTGRESQL, *_QUESTDB)):
        return lambda: SqliteStore(Path(where))
    url = _read(Path(where[1:])) if where.startswith("@") else where
    kind = _kind_of(url)
    if url == where and kind(url).has_password:
        raise UsageError(
            "--database: everybody here sees a password on a command line: put the URL into a file (@FILE)"
        )
    return lambda: kind(url)


def _kind_of(url: str) -> type[PostgresqlStore] | type[QuestdbStore]:
    """Each is an extra, and imported where it is used."""
    if url.startswith(_QUESTDB):
        from trade_balancer.sql_questdb import QuestdbStore

        return QuestdbStore
    from trade_balancer.sql_postgresql import PostgresqlStore

    return PostgresqlStore


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError) as fault:
        raise UsageError(f"--database: cannot read {path}: {getattr(fault, 'strerror', 'it is no text')}") from None


def main() -> int:
    """`lb-sql [--database WHERE] [--keep RECORDS] [--give-up S] ... FD...`; returns the exit code."""
    return serve(Sql)


if __name__ == "__main__":
    sys.exit(main())
