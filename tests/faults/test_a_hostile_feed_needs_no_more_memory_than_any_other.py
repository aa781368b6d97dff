"""Whatever a feed says, and however much of it: lb's memory stays flat, and the next session is as good as any."""

from __future__ import annotations

import contextlib
import itertools
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import SOON, Feed, Lb, frame, message
from harness.feed import CONTINUATION, PING, TEXT, Peer
from need import need_plain_build

ROUNDS = 4
FLAT_BYTES = 6 << 20
"""What is kept of what a round brings would come to more."""
LIMIT_BYTES = 256 << 20
"""Beside what is mapped at the begin: enough for threads and their arenas."""
DISCARD = ("sh", "-c", "exec cat /dev/fd/$0 > /dev/null")

_numbers = itertools.count()


def statuses(status: str, text: str) -> bytes:
    """Some 9 MB, no two alike."""
    filler = b"x" * 400
    words = b'{"ev":"status","status":"%s","message":"%s%%d %s"}' % (status.encode(), text.encode(), filler)
    return b"".join(frame(message([words % next(_numbers) for _ in range(500)])) for _ in range(40))


def long_statuses() -> bytes:
    return b"".join(frame(message([b'{"ev":"status","message":"%s"}' % (b"x" * 60_000)])) for _ in range(150))


def malformed() -> bytes:
    return b"".join(frame(b"[%d" % next(_numbers) + b"x" * 400) for _ in range(20_000))


def events() -> bytes:
    """Nobody knows them, and the fast path takes none of them."""
    return b"".join(
        frame(message([b'{"ev":"E%d","x":{},"pad":"%s"}' % (next(_numbers), b"x" * 400) for _ in range(500)]))
        for _ in range(40)
    )


def record_without_end() -> bytes:
    part = b"x" * 60_000
    return (
        frame(b'[{"a":"' + part, TEXT, fin=False)
        + frame(part, CONTINUATION, fin=False) * 150
        + frame(b'"}]', CONTINUATION)
    )


HOSTILE: dict[str, Callable[[], bytes]] = {
    "acknowledgements-of-what-nobody-wanted": lambda: statuses("success", "subscribed to: "),
    "errors": lambda: statuses("error", "not authorized "),
    "words": lambda: statuses("nonsense", ""),
    "long-words": long_statuses,
    "malformed-messages": malformed,
    "events-that-nobody-knows": events,
    "a-record-without-end": record_without_end,
}


@contextlib.contextmanager
def lb_of(feed: Feed) -> Iterator[Lb]:
    limits = ("--max-frame-bytes", "262144", "--pipe-size", "65536", "--backlog", "1048576")
    constants = SOON | {"lb.feed.keeper.MOST_DELAY_S": 0.005}
    with Lb(feed.url, 1, *limits, worker=DISCARD, constants=constants) as lb:
        yield lb


def resident_bytes(lb: Lb) -> int:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{lb.pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024


def limit_memory(lb: Lb) -> None:
    pages = int(Path(f"/proc/{lb.pid}/statm").read_text().split()[0])
    most_bytes = pages * resource.getpagesize() + LIMIT_BYTES
    resource.prlimit(lb.pid, resource.RLIMIT_AS, (most_bytes, most_bytes))


def taken(lb: Lb, peer: Peer) -> None:
    """Until lb has read all that was sent: it answers a ping."""
    peer.send(frame(b"all", PING))
    while peer.receive().payload != b"all":
        pass


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_a_session_brings(kind: str) -> None:
    need_plain_build("they keep for a while what is freed")
    with Feed() as feed, lb_of(feed) as lb, feed.session() as peer:
        lb.await_line("session open")
        limit_memory(lb)
        resident = []
        for _ in range(ROUNDS):
            peer.send(HOSTILE[kind]())
            taken(lb, peer)
            resident.append(resident_bytes(lb))
        assert resident[-1] - resident[0] < FLAT_BYTES
        assert lb.stop().balance["exact"]


def test_pings_whose_answers_are_not_taken() -> None:
    """The session is lost once too much waits to be sent."""
    with Feed() as feed, lb_of(feed) as lb:
        resident = []
        for _ in range(2):
            with feed.session() as peer:
                lb.await_line("session open")
                with contextlib.suppress(OSError):
                    while True:
                        peer.send(frame(b"x" * 125, PING) * 1000)
                assert "has not taken" in lb.await_line("session lost")["reason"]
                resident.append(resident_bytes(lb))
        assert resident[-1] - resident[0] < FLAT_BYTES


def test_answers_to_the_upgrade() -> None:
    """Headers without end, and as many as there may be."""
    head = b"HTTP/1.1 101 Switching Protocols\r\n"
    with Feed() as feed, lb_of(feed) as lb:
        resident = []
        for _ in range(5 * ROUNDS):
            for rest in (b"X: " + b"x" * (1 << 20), b"".join(b"X%d: y\r\n" % n for n in range(1800)) + b"\r\n"):
                with feed.connection() as peer:
                    peer.read_request()
                    with contextlib.suppress(OSError):
                        peer.send(head + rest)
                    lb.await_line("no session")
            resident.append(resident_bytes(lb))
        assert resident[-1] - resident[0] < FLAT_BYTES
