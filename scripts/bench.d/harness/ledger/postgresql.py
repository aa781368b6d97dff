"""Transactions a second into a server of PostgreSQL's beside it, which is that of the tests, but with fsync."""

import sys
import time
from pathlib import Path

from harness.ledger import row
from harness.ledger.rate import found_with, seconds_of, some_of
from harness.rows import Absent, Terms

POSTGRESQL = "... into PostgreSQL beside it, 10,000 a batch"

_TESTS = Path(__file__).parents[4] / "tests" / "workers"


@row(POSTGRESQL)
def postgresql(terms: Terms) -> list[float]:
    sys.path += [str(_TESTS), str(_TESTS / "postgresql")]
    from database_server import UnavailableError
    from postgresql_server import Server

    from trade_balancer.ledger.store_postgres import PostgresDatabase

    some = some_of(terms)
    found = []
    for _ in range(terms.rounds):
        try:
            server = Server(is_durable=True)
        except UnavailableError as fault:
            raise Absent(str(fault)) from fault
        with server:
            seconds = found_with(
                PostgresDatabase(server.conninfo), lambda ledger: seconds_of(ledger, some, time.monotonic)
            )
        found.append(len(some) / seconds / 1000)
    return found
