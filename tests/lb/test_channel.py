"""What a worker tells lb: taken as it was meant, counted when it means nothing, and never in lb's way."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import pytest
from harness import Feed, Lb, inline, message
from harness.flood import record
from harness.supervising import Supervising
from hypothesis import given
from hypothesis import strategies as st

from lb.slots.channel import LONGEST_BYTES, MOST_AT_ONCE, Acknowledged, Channel, Ready, Status, Unknown, parse

NO_FEED = "ws://127.0.0.1:1/stocks"


@pytest.fixture
def channel() -> Iterator[tuple[Channel, socket.socket]]:
    """And the worker's end of it."""
    channel = Channel()
    with socket.socket(fileno=os.dup(channel.worker_fd())) as worker:
        channel.close_worker_end()
        yield channel, worker
    channel.close()


def test_what_each_message_means() -> None:
    assert parse(b"READY") == Ready()
    assert parse(b"ACK 7 1000000") == Acknowledged(7, 1_000_000)
    assert parse(b"STATUS reading; 3 files open") == Status("reading; 3 files open")
    assert parse("STATUS größer".encode()) == Status("größer")
    assert parse(b"STATUS \xff") == Status("\N{REPLACEMENT CHARACTER}")
    assert parse(b"STATUS ") == Status("")


@pytest.mark.parametrize(
    "packet",
    [b"ready", b"READY\n", b"READY ", b"ACK", b"ACK 7", b"ACK 7 ", b"ACK 7 -1", b"ACK 7 1.0", b"ACK  7 1", b"ACK x 1",
     b"ACK 7 1 1", b"ACK 7 " + b"9" * 19, "ACK 7 \N{ARABIC-INDIC DIGIT ONE}".encode(), b"STATUS", b"\0",
     b"STATUS " + b"x" * LONGEST_BYTES],
)  # fmt: skip
def test_what_means_nothing(packet: bytes) -> None:
    assert parse(packet) == Unknown(packet[:LONGEST_BYTES])


@given(st.binary(max_size=LONGEST_BYTES + 10))
def test_no_bytes_are_an_error(packet: bytes) -> None:
    parse(packet)


@given(st.integers(0, 10**9 - 1), st.integers(0, 10**18 - 1))
def test_every_acknowledgement_is_understood(fd: int, records: int) -> None:
    assert parse(b"ACK %d %d" % (fd, records)) == Acknowledged(fd, records)


def test_a_packet_is_a_message_and_a_long_one_is_cut_off(channel: tuple[Channel, socket.socket]) -> None:
    ours, worker = channel
    assert ours.receive() == []
    for packet in (b"READY", b"STATUS " + b"x" * 100_000, b"STATUS a", b"STATUS b"):
        worker.send(packet)
    assert ours.receive() == [Ready(), Unknown(b"STATUS " + b"x" * (LONGEST_BYTES - 7)), Status("a"), Status("b")]
    assert not ours.has_ended


def test_a_descriptor_that_is_passed_along_is_not_kept(channel: tuple[Channel, socket.socket]) -> None:
    ours, worker = channel
    read_end, write_end = os.pipe()
    socket.send_fds(worker, [b"READY"], [write_end])
    os.close(write_end)
    assert ours.receive() == [Ready()]
    assert os.read(read_end, 1) == b"", "nobody has the write end any more"
    os.close(read_end)


def test_a_few_at_a_time(channel: tuple[Channel, socket.socket]) -> None:
    ours, worker = channel
    for number in range(MOST_AT_ONCE + 3):
        worker.send(b"STATUS %d" % number)
    assert ours.receive() == [Status(str(number)) for number in range(MOST_AT_ONCE)]
    assert len(ours.receive()) == 3


def test_the_end_comes_behind_what_was_said(channel: tuple[Channel, socket.socket]) -> None:
    ours, worker = channel
    worker.send(b"ACK 5 9")
    worker.close()
    assert ours.receive() == [Acknowledged(5, 9)]
    assert ours.has_ended
    assert ours.receive() == []


TALKS = inline("""
    import os, socket, sys
    channel = socket.socket(fileno=int(os.environ["LB_CHANNEL"]))
    assert channel.type == socket.SOCK_SEQPACKET
    assert os.environ["LB_PIPES"] == "1"
    first, second = sys.argv[1:]
    for text in ["READY", f"ACK {first} 5", f"ACK {second} 7", f"ACK {second} 8", "STATUS at work", "ACK 0 1", "what?"]:
        channel.send(text.encode())
    os.read(int(first), 1)
    channel.send(f"ACK {first} 6".encode())
""")


def test_a_slot_knows_what_its_worker_has_said() -> None:
    with Supervising(TALKS, 2) as test:
        test.start()
        (slot,) = test.slots
        test.until(lambda: slot.unknown_messages_total == 2)
        assert (slot.ready_total, slot.status, slot.acknowledged) == (1, "at work", {0: 5, 1: 8})
        assert [(line["slot"], line["pid"]) for line in test.told("worker ready")] == [(0, slot.pid)]
        test.supervisor.stop()
        test.write(0, b"x")
        test.until(lambda: not test.supervisor.running)
        assert slot.acknowledged == {0: 6, 1: 8}, "the last words count"


def test_the_next_worker_begins_at_nothing() -> None:
    worker = inline("""
        import os, socket, sys
        channel = socket.socket(fileno=int(os.environ["LB_CHANNEL"]))
        if os.read(int(sys.argv[1]), 1) == b"1":
            channel.send(f"ACK {sys.argv[1]} 77".encode())
        channel.send(b"READY")
        os.read(int(sys.argv[1]), 1)
    """)
    with Supervising(worker) as test:
        test.start()
        (slot,) = test.slots
        test.write(0, b"1")
        test.until(lambda: slot.ready_total == 1)
        assert slot.acknowledged == {0: 77}
        os.kill(slot.pid, signal.SIGKILL)
        test.until(lambda: test.told("worker ended"))
        test.write(0, b"2")  # not before: the dying one might take it along
        test.until(lambda: slot.ready_total == 2)
        assert slot.acknowledged == {}


def test_a_worker_that_closes_its_channel_is_a_worker_all_the_same() -> None:
    worker = inline("""
        import os, sys
        os.close(int(os.environ["LB_CHANNEL"]))
        os.read(int(sys.argv[1]), 1)
    """)
    with Supervising(worker) as test:
        test.start()
        (slot,) = test.slots
        test.until(lambda: slot.channel is None)
        test.supervisor.stop()
        test.pipes.close_write_end(0)
        test.until(lambda: not test.supervisor.running)
        assert test.told("worker ended")[0]["exit_code"] == 0


NEVER_ENDS_TALKING = inline("""
    import os, socket, sys, threading
    def read():
        while os.read(int(sys.argv[1]), 65536):
            pass
        os._exit(0)
    channel = socket.socket(fileno=int(os.environ["LB_CHANNEL"]))
    for _ in range(100):
        channel.send(b"nonsense")
    print("talking", flush=True)
    threading.Thread(target=read).start()
    while True:
        channel.send(b"nonsense")
""")


def test_a_worker_that_never_ends_talking_does_not_starve_the_feed() -> None:
    with Feed() as feed, Lb(feed.url, worker=NEVER_ENDS_TALKING) as lb, feed.session() as peer:
        lb.await_output(b"talking\n")
        for start in range(0, 20_000, 1000):
            peer.say(message(record(number) for number in range(start, start + 1000)))
        while lb.balance()["received"] < 20_000:
            pass
        end = lb.stop()
        assert (end.exit_code, end.balance["received"], end.balance["unread"]) == (0, 20_000, 0)
