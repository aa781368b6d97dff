"""A TLS server in front of a plain feed, which changes its keys in the middle of the stream.

What the feed says reaches `lb` byte for byte, and what `lb` says the feed; only the TLS between is of the test's own.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from forged_feed import RECORD_BYTES, ForgedFeed, ForgedPeer
from harness import Authority

FIRST_UPDATE_BYTES = 4096
"""Of the stream: behind the dialogue, so that each session gets as far as its records."""


class KeyChangingGateway:
    """Listens at `url` while entered. Each session of the first `changing_sessions` gets a KeyUpdate after every
    `interval_bytes` of the stream; every other update asks for one in return."""

    def __init__(
        self, authority: Authority, directory: Path, feed_url: str, *, interval_bytes: int, changing_sessions: int
    ) -> None:
        self._feed = ForgedFeed(authority, directory)
        self._target = urlsplit(feed_url)
        self._interval_bytes = interval_bytes
        self._changing_sessions = changing_sessions
        self._thread = threading.Thread(target=self._serve)
        self.url = self._feed.url
        self.before_update = b""
        """All of the stream that came before the first update."""
        self.updates_total = 0
        self.answers_total = 0

    def __enter__(self) -> KeyChangingGateway:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._feed.stop_listening()
        self._thread.join()
        self._feed.__exit__(kind, error, trace)

    def _serve(self) -> None:
        for number in itertools.count():
            try:
                peer = self._feed.connection()
            except OSError:  # no more to come
                return
            address = (self._target.hostname, self._target.port)
            with peer, socket.create_connection(address) as upstream:
                upward = threading.Thread(target=self._bring_up, args=(peer, upstream))
                upward.start()
                with contextlib.suppress(OSError):  # lb has left
                    self._bring_down(peer, upstream, number < self._changing_sessions)
                upward.join()

    def _bring_up(self, peer: ForgedPeer, upstream: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):  # lb, or the feed, has left
            while True:
                upstream.sendall(peer.receive_bytes())
        self.answers_total += peer.answers_total
        with contextlib.suppress(OSError):
            upstream.shutdown(socket.SHUT_RDWR)

    def _bring_down(self, peer: ForgedPeer, upstream: socket.socket, is_changing: bool) -> None:
        sent_bytes, next_update_bytes = 0, FIRST_UPDATE_BYTES
        while data := upstream.recv(RECORD_BYTES):
            if is_changing and sent_bytes + len(data) >= next_update_bytes:
                before, data = data[: next_update_bytes - sent_bytes], data[next_update_bytes - sent_bytes :]
                self._send(peer, before)
                self.updates_total += 1
                peer.forge.update_keys(request=self.updates_total % 2 == 0)
                sent_bytes += len(before)
                next_update_bytes += self._interval_bytes
            self._send(peer, data)
            sent_bytes += len(data)

    def _send(self, peer: ForgedPeer, data: bytes) -> None:
        if not self.updates_total:
            self.before_update += data
        peer.send(data)
