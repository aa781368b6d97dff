"""What a server's TLS may put between records of data, and how it may end: `lb` goes on where it can, and else names
the reason, delivers what came before, and opens the next session."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from bulk_recorder import BULK_RECORDER
from forged_feed import ForgedFeed, ForgedPeer
from harness import SOON, Authority, Feed, Frame, Lb, frame, message
from harness.feed import AUTH_SUCCESS, CONNECTED, PING, PONG, SUBSCRIBED, Peer
from harness.flood import numbers_of, record
from record_forge import ALERT, CLOSE_NOTIFY, DATA, HANDSHAKE, ticket

from ktls import kernel

pytestmark = pytest.mark.kernel_tls(native=True)

UPDATES = 30
KEY_UPDATE = b"\x18\0\0\1\0"
KEY_UPDATE_WITH_REQUEST = b"\x18\0\0\1\1"


@pytest.fixture
def feed(authority: Authority, tmp_path: Path) -> Iterator[ForgedFeed]:
    with ForgedFeed(authority, tmp_path) as forged:
        yield forged


@pytest.fixture
def start(tls: str, authority: Authority) -> Callable[..., Lb]:
    """Starts `lb` on a feed, with --tls as this test has it."""

    def start_lb(feed: Feed, *options: str, **constants: object) -> Lb:
        trust = ("--ca-file", authority.ca_file, "--tls", tls)
        return Lb(feed.url, 1, *trust, *options, worker=BULK_RECORDER, records=True, constants=SOON | constants)

    return start_lb


def numbers(lb: Lb, count: int) -> list[int]:
    """Of the records delivered, once there are `count`."""
    return numbers_of(lb.await_records(count).pipes[0])


def pongs(peer: Peer, payload: bytes = b"still there?") -> bool:
    """Whether `lb` answers a ping: it reads what we send, and we what it sends."""
    peer.send(frame(payload, PING))
    return peer.receive() == Frame(PONG, payload)


def lost_sessions(lb: Lb) -> list[str]:
    return [line["reason"] for line in lb.lines if line["message"] == "session lost"]


# what may come between data


def test_records_of_every_size_with_tickets_between(feed: ForgedFeed, start: Callable[..., Lb]) -> None:
    """Cut anywhere, also inside a websocket header; empty ones, padded ones, several in a segment or one in several."""
    random, count = Random(1), 3000
    stream = b"".join(frame(message([record(number)])) for number in range(count))
    with start(feed) as lb, feed.session() as peer:
        at, wire = 0, b""
        while at < len(stream):
            size = random.choice([0, 1, 1, 2, 7, 100, 1000, 16384])
            padding_bytes = random.choice([0, 0, 100]) if size <= 1000 else 0
            wire += peer.forge.ours.seal(DATA, stream[at : at + size], padding_bytes)
            if random.random() < 0.2:
                wire += peer.forge.ours.seal(HANDSHAKE, ticket())
            at += size
            cut = random.choice([0, 0, len(wire) // 2, len(wire)])
            peer.forge.send_raw(wire[:cut])
            wire = wire[cut:]
        peer.forge.send_raw(wire)
        assert numbers(lb, count) == list(range(count))
        assert pongs(peer)
        assert lb.stop().balance["exact"]
        assert lost_sessions(lb) == []


@pytest.mark.parametrize("asks", [False, True], ids=["plain", "with-request"])
@pytest.mark.parametrize("with_data", [False, True], ids=["in-a-row", "between-data"])
def test_key_updates(
    feed: ForgedFeed,
    start: Callable[..., Lb],
    tls: str,
    follows_key_updates: bool,
    counted: Callable[[], dict[str, int]],
    asks: bool,
    with_data: bool,
) -> None:
    if not follows_key_updates:
        pytest.skip("this kernel cannot change keys")
    with start(feed) as lb, feed.session() as peer:
        lb.await_line("session open")
        for number in range(UPDATES):
            if with_data:
                peer.say(message([record(number)]))
            peer.forge.update_keys(request=asks)
        sent = UPDATES if with_data else 0
        peer.say(message([record(sent), record(sent + 1)]))
        assert numbers(lb, sent + 2) == list(range(sent + 2))
        assert pongs(peer)
        # One answer is enough, however often it was asked for (RFC 8446 section 4.6.3).
        assert 1 <= peer.answers_total <= UPDATES if asks else peer.answers_total == 0
        if tls == "kernel":
            assert (counted()["TlsRxRekeyOk"], counted()["TlsTxRekeyOk"]) == (UPDATES, peer.answers_total)
        assert lb.stop().balance["exact"]
        assert lost_sessions(lb) == []


@pytest.mark.kernel_tls
@pytest.mark.parametrize("asks", [False, True], ids=["plain", "with-request"])
def test_a_key_update_that_can_not_be_followed_is_named_and_the_next_session_is_opened(
    feed: ForgedFeed, start: Callable[..., Lb], follows_key_updates: bool, asks: bool
) -> None:
    if follows_key_updates:
        pytest.skip("this kernel can change keys")
    with start(feed) as lb:
        with feed.session() as peer:
            peer.say(message([record(0), record(1)]))
            peer.forge.update_keys(request=asks)
            reason = lb.await_line("session lost", level="warning", cut_off_bytes=0)["reason"]
            assert reason == "TLS: the peer changed its keys, which Linux before 6.14 cannot follow"
        with feed.session() as peer:
            peer.say(message([record(2)]))
            assert numbers(lb, 3) == [0, 1, 2]
        assert lb.stop().balance["exact"]


@pytest.mark.kernel_tls
@pytest.mark.parametrize("is_full", [False, True], ids=["with-room", "with-a-full-pipe"])
def test_a_key_update_that_the_kernel_has_read_along_with_data_is_seen(
    feed: ForgedFeed, start: Callable[..., Lb], follows_key_updates: bool, is_full: bool
) -> None:
    """Poll does not report it (Linux 7.2), and the peer waits for the answer."""
    if not follows_key_updates:
        pytest.skip("this kernel cannot change keys")
    with start(feed, "--pipe-size", "4096") as lb, feed.session() as peer:
        (worker,) = lb.await_recorders(1)
        sent = 0
        if is_full:
            os.kill(worker, signal.SIGSTOP)
            sent = 200
            peer.say(message(record(number) for number in range(sent)))
            while lb.balance()["waiting"] == 0:
                pass
        ours = peer.forge.ours
        last = ours.seal(DATA, frame(message([record(sent)]))) + ours.seal(HANDSHAKE, KEY_UPDATE_WITH_REQUEST)
        peer.forge.send_raw(last)
        peer.forge.ours = peer.forge.next_generation(ours)
        peer.receive_key_update()
        os.kill(worker, signal.SIGCONT)
        peer.say(message([record(sent + 1)]))
        assert numbers(lb, sent + 2) == list(range(sent + 2))
        assert pongs(peer)


def test_tickets_and_key_updates_within_the_dialogue(
    feed: ForgedFeed, start: Callable[..., Lb], follows_key_updates: bool
) -> None:
    with start(feed) as lb, feed.connection() as peer:

        def say_between(text: bytes) -> None:
            peer.forge.send((HANDSHAKE, ticket()), (DATA, b""))
            if follows_key_updates:
                peer.forge.update_keys(request=True)
            half = len(frame(text)) // 2
            peer.forge.send((DATA, frame(text)[:half]), (HANDSHAKE, ticket()), (DATA, frame(text)[half:]))

        peer.upgrade()
        say_between(CONNECTED)
        peer.receive_action("auth")
        say_between(AUTH_SUCCESS)
        peer.receive_action("subscribe")
        say_between(SUBSCRIBED)
        peer.forge.send((HANDSHAKE, ticket()), (DATA, frame(message([record(0)]))))
        assert numbers(lb, 1) == [0]
        assert pongs(peer)
        assert lost_sessions(lb) == []


def test_an_empty_record_before_a_ticket_is_no_end(feed: ForgedFeed, start: Callable[..., Lb]) -> None:
    """A read of both brings no bytes, as at the end, but a record type."""
    with start(feed) as lb, feed.session() as peer:
        lb.await_line("session open")
        for number in range(3):
            peer.forge.send((DATA, b""), (HANDSHAKE, ticket()))
            assert pongs(peer)
            peer.forge.send((DATA, b""), (HANDSHAKE, ticket()), (DATA, frame(message([record(number)]))))
            assert numbers(lb, number + 1) == list(range(number + 1))
        assert lost_sessions(lb) == []


def test_half_a_record_is_waited_for(feed: ForgedFeed, start: Callable[..., Lb]) -> None:
    """Linux 6.1 says that it is readable."""
    with start(feed) as lb, feed.session() as peer:
        lb.await_line("session open")
        for number in range(3):
            sealed = peer.forge.ours.seal(DATA, frame(message([record(number)])))
            peer.forge.send_raw(sealed[:-10])
            assert lb.balance()["received"] == number
            peer.forge.send_raw(sealed[-10:])
            assert numbers(lb, number + 1) == list(range(number + 1))


# how it may end


@dataclass(frozen=True)
class Ending:
    """What the peer does, and what `lb` calls it, by where its TLS session lives."""

    act: Callable[[ForgedPeer], None]
    kernel: str
    user: str


def flip_a_bit(peer: ForgedPeer) -> None:
    sealed = bytearray(peer.forge.ours.seal(DATA, frame(message([record(0)]))))
    sealed[-1] ^= 1
    peer.forge.send_raw(bytes(sealed))


def end_inside_a_record(peer: ForgedPeer) -> None:
    peer.forge.send_raw(peer.forge.ours.seal(DATA, frame(message([record(0)])))[:-1])
    peer.forge.connection.shutdown(socket.SHUT_WR)


def sends(kind: int, payload: bytes) -> Callable[[ForgedPeer], None]:
    return lambda peer: peer.forge.send((kind, payload))


def sends_raw(data: bytes) -> Callable[[ForgedPeer], None]:
    return lambda peer: peer.forge.send_raw(data)


UNANNOUNCED = "connection closed without close_notify"
OF_NEWER_OPENSSL = "receiving failed: record layer failure"
"""What 3.5 adds behind the cause of any broken record; Python shows only what came last."""

ENDINGS = {
    "close_notify": Ending(sends(ALERT, CLOSE_NOTIFY), *["connection closed without a close frame"] * 2),
    "FIN": Ending(lambda peer: peer.forge.connection.shutdown(socket.SHUT_WR), UNANNOUNCED, UNANNOUNCED),
    "FIN-inside-a-record": Ending(end_inside_a_record, UNANNOUNCED, UNANNOUNCED),
    "alert": Ending(
        sends(ALERT, bytes([2, 80])),
        "TLS: the peer sent the TLS alert internal_error in mid-stream",
        "receiving failed: tlsv1 alert internal error",
    ),
    "flipped-bit": Ending(
        flip_a_bit,
        "receiving failed: a TLS record failed its authentication tag",
        "receiving failed: decryption failed or bad record mac",
    ),
    "no-TLS": Ending(
        sends_raw(b"HTTP/1.1 500 Internal Server Error\r\n\r\n"),
        "receiving failed: a TLS record is too long, or is none",
        "receiving failed: wrong version number",
    ),
    "another-version": Ending(
        sends_raw(b"\x17\x03\x01\x00\x20" + bytes(32)),
        "receiving failed: a TLS record is of another version",
        "receiving failed: wrong version number",
    ),
    "message-out-of-place": Ending(
        sends(HANDSHAKE, b"\x02\0\0\1\0"),
        "TLS: handshake message of type 2 after the TLS 1.3 AES-256-GCM handshake",
        "receiving failed: unexpected message",
    ),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_an_end_is_named_and_the_next_session_is_opened(
    feed: ForgedFeed, start: Callable[..., Lb], tls: str, name: str
) -> None:
    ending = ENDINGS[name]
    with start(feed) as lb:
        with feed.session() as peer:
            peer.say(message([record(0), record(1)]))
            ending.act(peer)
            line = lb.await_line("session lost", level="warning", cut_off_bytes=0)
            assert line["reason"] in ([ending.kernel] if tls == "kernel" else [ending.user, OF_NEWER_OPENSSL])
        with feed.session() as peer:
            peer.say(message([record(2)]))
            assert numbers(lb, 3) == [0, 1, 2]
            assert pongs(peer)
        assert lb.stop().balance["exact"]


def test_a_message_out_of_place_is_answered_with_an_alert(feed: ForgedFeed, start: Callable[..., Lb]) -> None:
    with start(feed), feed.session() as peer:
        peer.forge.send((HANDSHAKE, b"\x02\0\0\1\0"))
        assert peer.receive_alert() == (2, 10)  # fatal, unexpected_message


def test_the_end_of_lb_is_announced(feed: ForgedFeed, start: Callable[..., Lb]) -> None:
    with start(feed) as lb, feed.session() as peer:
        lb.await_line("session open")
        lb.stop()
        assert peer.receive().close_code == 1000
        assert peer.receive_alert() == (1, 0)  # warning, close_notify


# whom lb does not talk to


@contextmanager
def no_key_reaches_the_kernel() -> Iterator[None]:
    """While `lb` is past its probe of the kernel, which counts, too."""
    before = kernel.tls_stat()
    yield
    assert kernel.tls_stat() == before


@pytest.mark.parametrize("whose", ["host", "authority"])
def test_a_server_that_can_not_be_trusted_is_refused_and_told_so(
    authority: Authority, tmp_path: Path, start: Callable[..., Lb], whose: str
) -> None:
    if whose == "host":
        context, said = authority.server_context("elsewhere.example"), "IP address mismatch"
    else:
        context, said = Authority(tmp_path).server_context("127.0.0.1"), "unable to get local issuer certificate"
    with Feed(tls=context) as feed, start(feed) as lb:
        lb.await_line("worker started")
        with no_key_reaches_the_kernel():
            for _ in range(2):
                with pytest.raises(OSError, match=r"(?i)alert"):
                    feed.connection()
                reason = lb.await_line("no session", level="error")["reason"]
                assert reason.startswith("certificate of 127.0.0.1 is refused: ")
                assert said in reason
        assert lb.stop().exit_code == 0
