"""A ledger's database by what stands on the command line: a folder, a URL of PostgreSQL's, or the word memory.

Law: no password on a command line, where everybody sees it; no text shows one.
"""

from __future__ import annotations

from pathlib import Path

from trade_balancer.errors import InputError, UsageError
from trade_balancer.ledger.store import Database, Layout
from trade_balancer.ledger.store_memory import MemoryDatabase
from trade_balancer.ledger.store_sqlite import SqliteDatabase

MEMORY = "memory"
_POSTGRESQL = ("postgresql:", "postgres:")


def open_database(where: str, layout: Layout | None) -> Database:
    """To write to. It is made where there is none. Raises WorkerError."""
    if where == MEMORY:
        return MemoryDatabase(layout or Layout())
    if (url := _url(where)) is not None:
        from trade_balancer.ledger.store_postgres import PostgresDatabase  # only here: an extra

        return PostgresDatabase(url, layout)
    return SqliteDatabase(Path(where), layout)


def open_existing(where: str) -> Database:
    """To read. Raises WorkerError."""
    if (url := _url(where)) is not None:
        from trade_balancer.ledger.store_postgres import PostgresDatabase  # only here: an extra

        return PostgresDatabase(url, is_there=True)
    if where == MEMORY or not (Path(where) / "ledger.json").exists():
        raise InputError(f"there is no ledger {where}")
    return SqliteDatabase(Path(where))


def _url(where: str) -> str | None:
    """PostgreSQL's, from a file where it is @FILE; None: it is none. Raises UsageError."""
    if where.startswith("@"):
        try:
            return Path(where[1:]).read_text().strip()
        except (OSError, ValueError) as fault:
            why = getattr(fault, "strerror", "it is no text")
            raise UsageError(f"--database: cannot read {where[1:]}: {why}") from None
    if not where.startswith(_POSTGRESQL):
        return None
    from trade_balancer.postgresql import has_password  # only here: an extra

    if has_password(where):
        raise UsageError(
            "--database: everybody here sees a password on a command line: put the URL into a file (@FILE)"
        )
    return where
