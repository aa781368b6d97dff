"""`lb-ledger submit`: lines to a listening ledger, and its answers.

Law: what was answered is in the ledger. After an error the same lines may be sent again: what is there is done once.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Iterable, Iterator

import orjson

from trade_balancer.errors import OutputError

_PART_BYTES = 1 << 16


def submit(sock: socket.socket, lines: Iterable[bytes]) -> Iterator[bytes]:
    """Sends the lines, and yields the answers as they come, one for each. Raises OutputError."""
    sent = Counter[str]()
    sender = threading.Thread(target=_send, args=(sock, lines, sent), daemon=True)
    sender.start()
    answered = 0
    with sock.makefile("rb") as answers, contextlib.suppress(ConnectionResetError):
        for answer in answers:
            answered += 1
            yield answer
    sender.join()
    if answered < sent["lines"]:
        raise OutputError(f"the ledger has answered {answered} of {sent['lines']} transactions, and is gone")


def _send(sock: socket.socket, lines: Iterable[bytes], sent: Counter[str]) -> None:
    part = bytearray()
    try:
        for line in lines:
            if not line.strip():
                continue
            sent["lines"] += 1
            part += line.rstrip(b"\n") + b"\n"
            if len(part) >= _PART_BYTES:
                sock.sendall(part)
                part.clear()
        sock.sendall(part)
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the answers have ended, too, and too early


def status_of(answer: bytes) -> str:
    """applied, pending or refused."""
    return str(orjson.loads(answer)["status"])
