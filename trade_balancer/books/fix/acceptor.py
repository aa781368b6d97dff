"""Where clients connect: each first message is a Logon that finds, or makes, its session.

Law: a session has one client at a time. Who is not let in is closed without a word, and leaves nothing behind. The
loop of the market is the acceptor's.
"""

from __future__ import annotations

import asyncio
import fcntl
import hmac
import os
import socket
import ssl
from contextlib import aclosing
from pathlib import Path
from urllib.parse import quote

from trade_balancer.books.fix.client import Client
from trade_balancer.books.fix.connection import Connection, prepare
from trade_balancer.books.fix.store import Store
from trade_balancer.books.market import Market
from trade_balancer.books.service.access import Access
from trade_balancer.books.service.server import ListenError
from trade_balancer.errors import InputError, MissingExtraError, UsageError, tell
from trade_balancer.private_file import secret

try:
    from fixcore.message.message import Message
    from fixcore.session.session_id import SessionID
except ImportError:
    raise MissingExtraError("FIX", "fixcore-engine", "fix") from None

VERSION = "FIX.4.4"
NAME = "LB-BOOKS"
"""Our CompID: what clients say as TargetCompID (56)."""
MOST_CLIENTS = 1000
LOGON_S = 10.0
_LONGEST_NAME = 64
_FOR_EVERYBODY = Access()


class Acceptor:
    """To be started and stopped in the market's loop.

    Args:
        depth: levels of each side of the market's books.
        folder: where sessions are kept; None: in memory, they begin anew with each connection.
    """

    def __init__(
        self, market: Market, *, depth: int, folder: Path | None = None, access: Access = _FOR_EVERYBODY
    ) -> None:
        self._market = market
        self._depth = depth
        self._folder = folder
        self._access = access
        self._token: str | None = None
        self._lock: int | None = None
        self._server: asyncio.Server | None = None
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self.clients: dict[str, Client] = {}
        """By their CompIDs."""

    async def start(self, address: str) -> int:
        """Serve at HOST:PORT. Returns the port (that was chosen, where PORT is 0).

        Raises:
            UsageError: no address; who may connect, and where, do not go together; the folder is another's.
            InputError: a file of the access, or the folder, cannot be had.
            ListenError: this address cannot be had.
        """
        self._access.check(address)
        self._token = secret(self._access.token) if self._access.token else None
        tls = _tls(self._access)
        if self._folder is not None:
            self._lock = _locked(self._folder)
        listener = _listening(address)
        prepare(listener)
        self._server = await asyncio.start_server(
            self._accept, sock=listener, ssl=tls, ssl_handshake_timeout=LOGON_S if tls else None
        )
        return int(listener.getsockname()[1])

    async def stop(self, grace_s: float = 2.0) -> None:
        """Log all clients out, wait for them for `grace_s`, and end."""
        if self._server is None:
            return
        self._server.close()
        works = [asyncio.ensure_future(client.log_out("lb-books stops")) for client in self.clients.values()]
        works += self._connections.values()
        if works:
            await asyncio.wait(works, timeout=grace_s)
        for connection in self._connections:
            connection.abort()
        await asyncio.gather(*works)
        if self._lock is not None:
            os.close(self._lock)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        connection = Connection(reader, writer)
        self._connections[connection] = handler
        try:
            if len(self._connections) <= MOST_CLIENTS:
                await self._converse(connection)
        finally:
            connection.abort()
            del self._connections[connection]

    async def _converse(self, connection: Connection) -> None:
        async with aclosing(connection.messages()) as messages:
            try:
                async with asyncio.timeout(LOGON_S):
                    first = await anext(messages)
                name = self._admitted(first)
                store = Store(self._folder / f"{quote(name, safe='')}.session" if self._folder else None)
            except (TimeoutError, StopAsyncIteration):
                return
            except (_NotAdmittedError, InputError) as fault:
                tell(f"FIX: {connection.peer} is not let in: {fault}")
                return
            client = self.clients[name] = Client(self._market, SessionID(VERSION, NAME, name), store, self._depth)
            try:
                await client.converse(connection, messages, first)
            finally:
                del self.clients[name]
                store.close()

    def _admitted(self, first: bytes) -> str:
        """Who it is.

        Raises:
            _NotAdmittedError: it may not come in.
        """
        try:
            logon = Message.decode(first)
        except ValueError:
            raise _NotAdmittedError("its first message is none of FIX") from None
        name: str = logon.header.get_or(49)
        if (logon.msg_type, logon.header.get_or(8), logon.header.get_or(56)) != ("A", VERSION, NAME):
            raise _NotAdmittedError(f"its first message is no Logon (35=A) of {VERSION} to 56={NAME}")
        if not (name.isascii() and name.isprintable() and 0 < len(name) <= _LONGEST_NAME):
            raise _NotAdmittedError(f"its name (49) is not 1 to {_LONGEST_NAME} printable ASCII characters")
        if self._token is not None and not hmac.compare_digest(logon.get_field_or(554).encode(), self._token.encode()):
            raise _NotAdmittedError("its Password (554) is not the token")
        if name in self.clients:
            raise _NotAdmittedError(f"49={name} is connected already")
        return name


class _NotAdmittedError(Exception):
    """Why; the client is not told."""


def _listening(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise UsageError(f"{address}: wanted is HOST:PORT")
    try:
        family, *_, found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        return socket.create_server(found[:2], family=family)
    except OSError as error:
        raise ListenError(f"nothing can be served at {address}: {error.strerror}") from None


def _tls(access: Access) -> ssl.SSLContext | None:
    """None: plain text."""
    if access.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(access.certificate, access.key)
        if access.client_authority is not None:
            context.load_verify_locations(access.client_authority)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:  # ssl.SSLError is one
        files = [str(path) for path in (access.certificate, access.key, access.client_authority) if path]
        raise InputError(f"{', '.join(files)}: {error.strerror or error}") from None
    return context


def _locked(folder: Path) -> int:
    """The fd that keeps others out of it, as long as it is open."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise UsageError(f"{folder}: another lb-books keeps its FIX sessions there") from None
    return lock
