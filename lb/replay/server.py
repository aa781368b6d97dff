"""The server: a listening socket, a thread that accepts, and a thread per connection."""

import abc
import contextlib
import os
import select
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from lb.replay.authority import SelfSigned
from lb.replay.connection import Connection
from lb.replay.errors import UnavailableError
from lb.replay.player import Playback
from lb.replay.stage import House, Patience, Stage
from lb.replay.tally import Tally, Totals
from lb.replay.tape import Tape
from lb.replay.tape_connection import TapeConnection
from lb.replay.wire import WakeUp, Wire

_AT_FULL_SPEED = Playback()


class Server(abc.ABC):
    """It listens from its making on, and is served from `start` to `stop`; as a context manager it does both itself.

    Args:
        host: address or name to listen on.
        port: 0 for any free one.
        path: the path of the URL.
        tls: None for ws; a context, or "self-signed", for wss.

    Raises:
        UnavailableError: the address is unknown or not ours, or the port is in use.
    """

    def __init__(
        self, tally: Tally, host: str, port: int, path: str, tls: ssl.SSLContext | Literal["self-signed"] | None
    ) -> None:
        self._tally = tally
        self._listener = _listen(host, port)
        self._self_signed: SelfSigned | None = None
        self._tls: ssl.SSLContext | None
        if tls == "self-signed":
            self._self_signed = SelfSigned()
            self._tls = self._self_signed.context
        else:
            self._tls = tls
        self._host = f"[{host}]" if ":" in host else host
        self._path = path
        self._wake_up = WakeUp()
        self._stopping = threading.Event()
        self._connections: dict[threading.Thread, Connection] = {}
        self._acceptor = threading.Thread(target=self._accept, name="replay-accept")

    @abc.abstractmethod
    def _connection(self, wire: Wire, wake_up: WakeUp) -> Connection:
        """Who serves a client that has come."""

    def connections(self) -> list[Connection]:
        """Those that there are, and may be some that have just ended."""
        return list(self._connections.values())

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"{'wss' if self._tls else 'ws'}://{self._host}:{self.port}{self._path}"

    @property
    def ca_file(self) -> Path | None:
        """The certificate, in PEM, of the server's own authority, if it has one; it exists until `stop`."""
        return self._self_signed.ca_file if self._self_signed else None

    @property
    def totals(self) -> Totals:
        """What has been sent so far."""
        return self._tally.totals()

    def start(self) -> None:
        """Begins to accept connections."""
        self._acceptor.start()

    def stop(self) -> None:
        """Closes all connections, within about a second, and the port. Call it once, also if `start` was not called."""
        self._stopping.set()
        self._wake_up.set()
        if self._acceptor.ident is not None:
            self._acceptor.join()
        for connection in self._connections.values():
            connection.stop()
        for thread in self._connections:
            thread.join()
        self._listener.close()
        self._wake_up.close()
        if self._self_signed:
            self._self_signed.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _accept(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._wake_up, select.POLLIN)
        while poll.poll() and not self._stopping.is_set():
            with contextlib.suppress(BlockingIOError, ConnectionAbortedError):  # The client has gone.
                accepted, _ = self._listener.accept()
                self._serve(accepted)
            self._connections = {thread: one for thread, one in self._connections.items() if thread.is_alive()}

    def _serve(self, accepted: socket.socket) -> None:
        wake_up = WakeUp()
        try:
            wire = Wire(accepted, self._tls, wake_up)
        except OSError:  # The client has gone.
            wake_up.close()
            accepted.close()
            return
        connection = self._connection(wire, wake_up)
        thread = threading.Thread(target=connection.run, name="replay-connection")
        self._connections[thread] = connection  # before it runs: what it does may concern all that there are
        thread.start()


class ReplayServer(Server):
    """Serves a tape to whoever knows the key; it listens from its making on and is served from `start` to `stop`.

    As a context manager it starts and stops by itself:

        with ReplayServer(tape, key="demo", tls="self-signed") as server:
            connect(server.url, ca=server.ca_file)

    Args:
        tape: what is played.
        playback: how it is played; by default once, at full speed, with close frame 1000 at its end.
        key: the only key that is accepted.
        host: address or name to listen on.
        port: 0 for any free one.
        path: the path of the URL; another gets the HTTP status 404.
        tls: None for ws; a context, or "self-signed", for wss.
        connections_per_key: how many subscribed connections there may be; a further one evicts the eldest.
        auth_timeout_s: after so many seconds without a valid key: `auth_timeout`, and the connection is closed.
        ping_interval_s: seconds between pings; 0 for none.
        patience: how far a client may be behind; beyond, `slow_consumer`, and the connection is closed. Needs a
            playback with a speed.
        on_input_end: called, from another thread, each time a connection that got the whole input is over.

    Raises:
        UnavailableError: the address is unknown or not ours, or the port is in use.
    """

    def __init__(
        self,
        tape: Tape,
        playback: Playback = _AT_FULL_SPEED,
        *,
        key: str = "demo",
        host: str = "127.0.0.1",
        port: int = 0,
        path: str = "/stocks",
        tls: ssl.SSLContext | Literal["self-signed"] | None = None,
        connections_per_key: int = 1,
        auth_timeout_s: float = 10.0,
        ping_interval_s: float = 30.0,
        patience: Patience | None = None,
        on_input_end: Callable[[], None] = lambda: None,
    ) -> None:
        house = House(key, path, connections_per_key, auth_timeout_s, ping_interval_s, patience)
        self._stage = Stage(tape, playback, house, on_input_end)
        super().__init__(self._stage.tally, host, port, path, tls)

    def _connection(self, wire: Wire, wake_up: WakeUp) -> Connection:
        return TapeConnection(wire, wake_up, self._stage)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family)
    except socket.gaierror as error:
        raise UnavailableError(f"cannot listen on {host}: {error.strerror}") from None
    except OSError as error:
        # Not error.strerror, to which `socket` appends the address in its own form.
        raise UnavailableError(f"cannot listen on {host} port {port}: {os.strerror(error.errno or 0)}") from None
    listener.setblocking(False)
    return listener
