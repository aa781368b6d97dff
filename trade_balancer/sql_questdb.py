"""QuestDB, as `lb-sql` wants it (extra `questdb`): rows by its line protocol over HTTP, tables by its REST interface.

Law: the database has no transactions of several tables, and tells of none what it had already. A row's key is all of
it instead: the same rows may be written as often as need be.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Sequence
from itertools import chain
from typing import Any

from trade_balancer.columnar.events import Kind
from trade_balancer.errors import MissingExtraError, OutputError
from trade_balancer.sql_progress import Step
from trade_balancer.sql_rows import Row, RowStore
from trade_balancer.sql_store import StoreGoneError, Waiting
from trade_balancer.sql_tables import Day, SqlTable, quoted

try:
    import questdb
except ImportError:
    raise MissingExtraError("lb-sql with QuestDB", "questdb", "questdb") from None

DEFAULT_PORT = 9000
ARRIVAL = "time"
"""The column that QuestDB orders a table by: the record's own time, or where it has none that of its writing."""

_TYPES: dict[Any, str] = {
    Day: "VARCHAR",
    Kind.SYMBOL: "SYMBOL",
    Kind.TEXT: "VARCHAR",
    Kind.INTS: "VARCHAR",
    Kind.DECIMAL: "DOUBLE",
    Kind.INT32: "INT",
    Kind.BOOL: "INT",  # its BOOLEAN has no null
}
_NS_PER_MS = 1_000_000
_LONGEST_ANSWER_S = 10
_REFUSED = '"code":"invalid"'
"""In the server's answer to rows that it will not take the next time either."""


class QuestdbStore(RowStore):
    """A server of QuestDB's.

    Args:
        url: questdb://[USER[:PASSWORD]@]HOST[:PORT], or questdbs:// for HTTPS.

    Raises:
        OutputError: it is none. The text does not show it.
    """

    def __init__(self, url: str) -> None:
        try:
            parts = urllib.parse.urlsplit(url)
            port = parts.port or DEFAULT_PORT
        except ValueError:
            parts, port = urllib.parse.urlsplit(""), 0
        if not parts.hostname or not re.fullmatch(r"[A-Za-z0-9.:-]+", parts.hostname):
            raise OutputError("the URL is none: questdb://[USER[:PASSWORD]@]HOST[:PORT]")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.name = f"QuestDB at {host}:{port}"
        self.has_password = parts.password is not None
        self._protocol = questdb.Protocol.Https if parts.scheme == "questdbs" else questdb.Protocol.Http
        self._base = f"{self._protocol.tag}://{host}:{port}"
        user, password = (urllib.parse.unquote(word or "") for word in (parts.username, parts.password))
        self._headers = {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()} if user else {}
        secret = {"username": user, "password": password} if user else {}
        self._settings: dict[str, Any] = {"auto_flush": False, "retry_timeout": 0} | secret
        self._host, self._port = host, port
        self._sender: questdb.Sender | None = None
        self._made: set[SqlTable] = set()

    def open(self) -> None:
        if self._sender is not None:
            return
        self._ask("SELECT 1")
        try:
            sender = questdb.Sender(self._protocol, self._host, self._port, **self._settings)
            sender.establish()  # type: ignore[no-untyped-call]
        except questdb.QuestDBError as fault:
            raise self._failed(fault) from fault
        self._sender = sender

    def stored(self, run: str) -> dict[int, int]:
        """Nothing is known, and nothing need be: what lb gives out once more is there once."""
        self.open()
        return {}

    def write(self, rows: Waiting, steps: Sequence[Step] = ()) -> int:
        """A transaction for each table. Returns how many rows were written, of which some may have been there."""
        self.open()
        sender = self._sender
        assert sender is not None
        written = 0
        for table, some in rows.items():
            if table not in self._made:
                self._ask(_declaration(table))
                self._made.add(table)
            try:
                with sender.transaction(table.name) as transaction:
                    written += _put(transaction, table, chain.from_iterable(some))
            except questdb.QuestDBError as fault:
                raise self._failed(fault) from fault
        return written

    def close(self) -> None:
        sender, self._sender = self._sender, None
        self._made.clear()
        if sender is not None:
            sender.close(flush=False)

    def _ask(self, statement: str) -> None:
        address = f"{self._base}/exec?{urllib.parse.urlencode({'query': statement})}"
        try:
            asked = urllib.request.Request(address, headers=self._headers)
            with urllib.request.urlopen(asked, timeout=_LONGEST_ANSWER_S) as answer:
                answer.read()
        except urllib.error.HTTPError as fault:
            with fault:
                text = fault.read(4096).decode(errors="replace")
            self.close()
            kind = OutputError if fault.code < 500 else StoreGoneError
            raise kind(f"cannot write to {self.name}: {fault.code} {_message_of(text)}") from None
        except OSError as fault:
            self.close()
            raise StoreGoneError(f"cannot write to {self.name}: {getattr(fault, 'reason', fault)}") from fault

    def _failed(self, fault: questdb.QuestDBError) -> Exception:
        self.close()
        text = f"cannot write to {self.name}: {' '.join(str(fault).split())}"
        return OutputError(text) if _REFUSED in str(fault) else StoreGoneError(text)


def _declaration(table: SqlTable) -> str:
    """Makes the table where there is none; one that is there is used as it is."""
    columns = "".join(f", {quoted(name)} {_TYPES.get(kind, 'LONG')}" for name, kind in table.columns.items())
    key = ", ".join(map(quoted, (ARRIVAL, *table.columns)))
    return (
        f"CREATE TABLE IF NOT EXISTS {table.name} ({ARRIVAL} TIMESTAMP{columns}) TIMESTAMP({ARRIVAL}) "
        f"PARTITION BY DAY WAL DEDUP UPSERT KEYS({key})"
    )


def _put(transaction: questdb.SenderTransaction, table: SqlTable, rows: chain[Row]) -> int:
    names = list(table.columns)
    kinds = list(table.columns.values())
    symbols = [at for at, kind in enumerate(kinds) if kind is Kind.SYMBOL]
    others = [at for at, kind in enumerate(kinds) if kind is not Kind.SYMBOL]
    time = next(at for at, kind in enumerate(kinds) if kind in (Kind.TIME_MS, Kind.TIME_NS))
    count = 0
    for row in rows:
        transaction.row(
            symbols={names[one]: row[one] for one in symbols},
            columns={names[one]: row[one] for one in others},
            at=_time(row[time], kinds[time]),
        )
        count += 1
    return count


def _time(ticks: int | None, kind: Any) -> questdb.TimestampNanos | questdb.ServerTimestampType:
    if ticks is None:
        return questdb.ServerTimestamp
    return questdb.TimestampNanos(ticks * _NS_PER_MS if kind is Kind.TIME_MS else ticks)


def _message_of(answer: str) -> str:
    try:
        return str(json.loads(answer)["error"])[:200]
    except (ValueError, KeyError, TypeError):
        return " ".join(answer.split())[:200]
