"""A ledger's database by what stands on the command line: a folder, a URL, or the word memory."""

from __future__ import annotations

from pathlib import Path

from trade_balancer.errors import InputError
from trade_balancer.ledger.store import Database, Layout
from trade_balancer.ledger.store_memory import MemoryDatabase
from trade_balancer.ledger.store_sqlite import SqliteDatabase

MEMORY = "memory"


def open_database(where: str, layout: Layout | None) -> Database:
    """To write to. It is made where there is none. Raises WorkerError."""
    if where == MEMORY:
        return MemoryDatabase(layout or Layout())
    return SqliteDatabase(Path(where), layout)


def open_existing(where: str) -> Database:
    """To read. Raises WorkerError."""
    if where == MEMORY or not (Path(where) / "ledger.json").exists():
        raise InputError(f"there is no ledger {where}")
    return SqliteDatabase(Path(where))
