"""The harness's feed over a TLS of the test's own, which can put anything between two records of data."""

from __future__ import annotations

import itertools
import socket
from pathlib import Path

from harness import Authority, Feed
from harness.feed import TIMEOUT_S, Peer
from record_forge import ALERT, DATA, HANDSHAKE, RecordForge

RECORD_BYTES = 16384
"""The longest payload of a TLS record (RFC 8446 section 5.1)."""


class ForgedPeer(Peer):
    """One connection of `lb`, with its TLS records in hand. `forge.send` and `forge.update_keys` add what is not data.

    Receiving follows the key updates of `lb`, and counts them.
    """

    def __init__(self, forge: RecordForge) -> None:
        super().__init__(forge.connection)
        self.forge = forge
        self.answers_total = 0
        """Key updates that have come from `lb`."""

    def send(self, raw: bytes) -> None:
        self.forge.send(*((DATA, raw[at : at + RECORD_BYTES]) for at in range(0, len(raw), RECORD_BYTES)))

    def receive_bytes(self) -> bytes:
        """What `lb` says next, at least 1 byte. Raises EOFError."""
        while not self._input:
            self._read_more()
        taken, self._input = self._input, b""
        return taken

    def receive_key_update(self) -> None:
        """Wait for a key update from `lb`, which must not ask for one in return."""
        assert self.forge.receive_key_update() == 0
        self.answers_total += 1

    def receive_alert(self) -> tuple[int, int]:
        """The level and description of the alert with which `lb` leaves, after whatever else it still says."""
        for kind, payload in self.forge.records():
            if kind == ALERT:
                return payload[0], payload[1]
        raise EOFError("lb has left without an alert")

    def _read_more(self) -> None:
        kind, payload = self.forge.receive()
        while kind == HANDSHAKE:
            assert payload == b"\x18\0\0\1\0", f"handshake message {payload!r} from lb, expected a key update"
            self.forge.theirs = self.forge.next_generation(self.forge.theirs)
            self.answers_total += 1
            kind, payload = self.forge.receive()
        if kind != DATA:
            raise EOFError(f"record of type {kind} from lb: {payload!r}")
        self._input += payload


class ForgedFeed(Feed):
    """Listens on a free port of loopback, for wss. `directory` is for what OpenSSL wants in files."""

    def __init__(self, authority: Authority, directory: Path) -> None:
        super().__init__()
        self.url = f"wss://127.0.0.1:{self.port}/stocks"
        self._chain, self._key = authority.server_files(directory, "127.0.0.1")
        self._keylogs = (directory / f"keylog-{number}" for number in itertools.count())

    def connection(self) -> ForgedPeer:
        """The next connection, after its handshake."""
        sock, _ = self._listener.accept()
        sock.settimeout(TIMEOUT_S)
        try:
            return ForgedPeer(RecordForge(sock, self._chain, self._key, next(self._keylogs)))
        except BaseException:
            sock.close()
            raise

    def stop_listening(self) -> None:
        """From another thread: connection() raises OSError, also where it is waiting already."""
        self._listener.shutdown(socket.SHUT_RDWR)

    def session(self) -> ForgedPeer:
        """The next connection, upgraded and subscribed."""
        peer = self.connection()
        peer.upgrade().converse()
        return peer
