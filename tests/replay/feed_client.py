"""A client of the feed, and small records to feed it, for the tests of `lb.replay`."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, settings
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close
from websockets.sync.client import ClientConnection, connect

# A machine that is busy with other things is no reason to fail.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Client:
    """One session with a feed: says things, and takes the messages that come, as bytes."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def say(self, action: str, params: str) -> None:
        self.connection.send(f'{{"action":"{action}","params":"{params}"}}')

    def hear(self) -> bytes:
        return self.connection.recv(timeout=30, decode=False)

    def subscribe(self, params: str = "T.*", key: str = "demo") -> None:
        """Connected, authenticated, subscribed; the acknowledgements are taken."""
        assert b'"connected"' in self.hear()
        self.say("auth", key)
        assert b'"auth_success"' in self.hear()
        self.say("subscribe", params)
        assert b'"success"' in self.hear()

    def hear_all(self) -> list[bytes]:
        """All messages to the end of the connection."""
        messages: list[bytes] = []
        try:
            while True:
                messages.append(self.hear())
        except ConnectionClosed:
            return messages

    @property
    def close_received(self) -> Close | None:
        """The server's close frame; None if the connection ended without one."""
        return self.connection.protocol.close_rcvd


@contextmanager
def session(url: str, ca_file: Path | None = None) -> Iterator[Client]:
    """Connects as a client of the feed; no compression, no bound on messages."""
    tls = ssl.create_default_context(cafile=ca_file) if url.startswith("wss") else None
    with connect(url, ssl=tls, compression=None, max_size=None, close_timeout=10) as connection:
        yield Client(connection)


def record(number: int, symbol: str = "AAPL", event: str = "T", time_ms: int = 1_781_622_376_036) -> bytes:
    """A small record that can be told from others by its number."""
    return b'{"ev":"%s","sym":"%s","i":"%d","t":%d}' % (event.encode(), symbol.encode(), number, time_ms)


def message(*records: bytes) -> bytes:
    return b"[" + b",".join(records) + b"]"


def wait_for(condition: Callable[[], bool]) -> None:
    """Asks again and again; the time limit is the test's."""
    pause = threading.Event()
    while not condition():
        pause.wait(0.001)
