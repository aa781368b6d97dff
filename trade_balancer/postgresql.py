"""Class Connection: to a database of PostgreSQL's (extra `postgresql`), by whoever stores something there.

Law: after a failure it is closed, and opened anew when it is wanted. No text has a password in it.
"""

from __future__ import annotations

import logging
from typing import Any

from trade_balancer.errors import MissingExtraError, OutputError

try:
    import psycopg
except ImportError:
    raise MissingExtraError("PostgreSQL", "psycopg", "postgresql") from None

# It warns of a COPY that ends with its connection. That is told here, once, and in words; and a logger without a
# handler prints.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

Session = psycopg.Connection[Any]
Cursor = psycopg.Cursor[Any]
Error = psycopg.Error
"""Whatever goes wrong with a session."""

_PATIENCE = {
    "client_encoding": "utf8",
    "connect_timeout": "5",  # s
    "keepalives_idle": "10",  # s; a server that has vanished without a word is noticed
    "tcp_user_timeout": "20000",  # ms
}
"""Where the connection string says nothing else."""
_PASSING = ("08", "25006", "40", "53", "55", "57", "58")
"""What passes by, as SQLSTATE or its class (PostgreSQL's appendix A): of connections, a standby, rollbacks, resources,
locks, operators, the system."""


class Connection:
    """Opened by `session`, when it is wanted.

    Args:
        connection: what libpq knows as a connection string, or a URL.
        program: who the server is told that it is.
        verb: what can't be done with it where it fails: "use", "write to".
        gone: what is raised where the same may be tried again later.

    Raises:
        OutputError: it is none. The text does not show it.
    """

    def __init__(self, connection: str, program: str, verb: str, gone: type[Exception]) -> None:
        given = _told_of(connection)
        place = given.get("host", "the default host")
        self.name = f"PostgreSQL's database {given.get('dbname', 'of its user')} at {place}"
        self._parameters: dict[str, Any] = {"application_name": program} | _PATIENCE | given
        self._verb, self._gone = verb, gone
        self._session: Session | None = None

    def session(self) -> Session:
        if self._session is None:
            try:
                self._session = psycopg.connect(**self._parameters, autocommit=True)
            except Error as fault:
                raise self.failed(fault) from fault
        return self._session

    def failed(self, fault: Error) -> Exception:
        """Closes it, and returns what is to be raised: `gone`, or an OutputError."""
        is_open = self._session is not None and not self._session.broken
        self.close()
        text = f"cannot {self._verb} {self.name}: {' '.join(str(fault).split())}"
        is_passing = not is_open or (fault.sqlstate or "").startswith(_PASSING)
        return self._gone(text) if is_passing else OutputError(text)

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


def has_password(connection: str) -> bool:
    """Raises OutputError where it is no connection string."""
    return not {"password", "sslpassword"}.isdisjoint(_told_of(connection))


def _told_of(connection: str) -> dict[str, Any]:
    try:
        return dict(psycopg.conninfo.conninfo_to_dict(connection))
    except psycopg.Error:
        raise OutputError("the connection string is none that PostgreSQL knows") from None
