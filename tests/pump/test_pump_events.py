"""When run() comes back, and why: wake-ups, deadlines, the work budget, end and error of a session, drain, detach."""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import model
import pytest
from model import CONTINUATION, TEXT, Control, Fault, Frame, Status
from pumping import Rig

from lb.errors import InternalError, SessionLost
from lb.pump import Layout, PipeDrained, Pump, Route, Source, Wake

FAR_NS = 1 << 62
TRADE = b'{"ev":"T","sym":"AAPL","p":1}'
STATUS = b'{"ev":"status","status":"success"}'
SOURCES = [Source.SOCKET, Source.CALLER]
ROOM_BYTES = 288 * 1024
"""PUMP_ROOM_BYTES of pump_state.h."""
ROUNDS_PER_RUN = 256
PUT_OFF_READS = 16
READ_BYTES = 256 * 1024
"""The first two of pump.c, PUMP_READ_BYTES of pump_state.h."""
SO_SNDBUFFORCE = 32


def framed(*records: bytes) -> bytes:
    return b"".join(len(record).to_bytes(4, "little") + record for record in records)


def text(*records: bytes) -> bytes:
    return model.wire(Frame(TEXT, b"[" + b",".join(records) + b"]"))


# Wake-up, deadline, budget. ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES)
def test_a_readable_wake_up_descriptor_ends_the_wait_and_stays_readable(source: Source) -> None:
    with Rig(source=source) as rig:
        os.write(rig.wake_write_fd, b"x")
        assert rig.pump.run(FAR_NS) is Wake.SIGNAL
        assert rig.pump.run(FAR_NS) is Wake.SIGNAL
        assert os.read(rig.wake_read_fd, 10) == b"x"


def test_what_was_received_before_a_wake_up_is_dealt() -> None:
    with Rig() as rig:
        rig.feed.send(text(TRADE))
        os.write(rig.wake_write_fd, b"x")
        assert rig.pump.run(FAR_NS) is Wake.SIGNAL
        assert rig.read(0, 1000) == framed(TRADE)


def test_a_signal_ends_the_wait_and_its_handler_runs() -> None:
    """Without a wake-up descriptor, too: run() comes back on EINTR."""
    handled = []
    before = signal.signal(signal.SIGALRM, lambda number, _: handled.append(number))
    try:
        with Rig() as rig:
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            assert rig.pump.run(FAR_NS) is Wake.SIGNAL
            assert handled == [signal.SIGALRM]
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("source", SOURCES)
def test_the_deadline_is_not_early(source: Source) -> None:
    with Rig(source=source) as rig:
        deadline_ns = time.monotonic_ns() + 20_000_000
        assert rig.pump.run(deadline_ns) is Wake.DEADLINE
        assert time.monotonic_ns() >= deadline_ns


def test_a_past_deadline_still_does_the_work_there_is() -> None:
    with Rig() as rig:
        rig.feed.send(text(TRADE))
        for _ in range(3):
            assert rig.pump.run(0) is Wake.DEADLINE
        assert rig.read(0, 1000) == framed(TRADE)


@contextmanager
def flood(feed: socket.socket) -> Iterator[None]:
    """Messages as fast as they are taken, until the context ends."""
    message = text(*[TRADE] * 1000) * 4
    feed.setblocking(True)

    def send() -> None:
        try:
            while True:
                feed.sendall(message)
        except OSError:
            pass

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        feed.shutdown(socket.SHUT_RDWR)
        sender.join()


@contextmanager
def emptied(rig: Rig) -> Iterator[None]:
    """A reader of pipe 0 that takes all there is, until the context ends."""

    def read() -> None:
        while got := os.read(rig.read_fds[0], 1 << 20):
            if got.endswith(b"stop"):
                return

    os.set_blocking(rig.read_fds[0], True)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        os.set_blocking(rig.write_fds[0], True)
        os.write(rig.write_fds[0], b"stop")
        reader.join()


def test_under_a_flood_the_deadline_and_a_wake_up_are_kept() -> None:
    with Rig() as rig, emptied(rig), flood(rig.feed):
        deadline_ns = time.monotonic_ns() + 5_000_000
        while (event := rig.pump.run(deadline_ns)) is not Wake.DEADLINE:
            assert event is Wake.BUDGET
        os.write(rig.wake_write_fd, b"x")
        while rig.pump.run(FAR_NS) is not Wake.SIGNAL:
            pass


def test_after_many_full_reads_it_comes_back() -> None:
    """Where each read brings all that it may, nothing else would look for a signal."""
    message = text(*[TRADE] * 2000)
    sent = message * (ROUNDS_PER_RUN * READ_BYTES // len(message) + 2)
    feed, session = socket.socketpair()
    with feed, session, Path(os.devnull).open("wb") as sink:
        session.setblocking(False)
        try:
            feed.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 4 * len(sent))
        except PermissionError:
            pytest.skip("a socket that holds 64 MiB needs CAP_NET_ADMIN")
        feed.sendall(sent)
        pump = Pump(
            pipe_fds=[sink.fileno()],
            route=Route.ROUND_ROBIN,
            layout=Layout.POLYGON,
            max_frame_bytes=1 << 20,
            high_water_bytes=1 << 20,
            wake_fd=feed.fileno(),
            stall_ns=FAR_NS,
        )
        pump.attach(Source.SOCKET, session.fileno())
        assert pump.run(FAR_NS) is Wake.BUDGET
        assert pump.counters().reads_total == ROUNDS_PER_RUN


@pytest.mark.parametrize(("retains", "most_reads"), [(False, 1), (True, PUT_OFF_READS)])
def test_where_acknowledgements_wake_it_some_reads_come_first(retains: bool, most_reads: int) -> None:
    """A packet a read, so that poll() is asked before each."""
    feed, session = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with Rig(retains=retains) as rig, feed, session:
        session.setblocking(False)
        rig.pump.attach(Source.SOCKET, session.fileno())
        for _ in range(2 * PUT_OFF_READS):
            feed.send(text(TRADE))
        os.write(rig.wake_write_fd, b"x")
        assert rig.pump.run(FAR_NS) is Wake.SIGNAL
        assert rig.pump.counters().reads_total == most_reads
        while rig.pump.counters().records_total < 2 * PUT_OFF_READS:
            assert rig.pump.run(FAR_NS) is Wake.SIGNAL


# A source that the caller reads. -----------------------------------------------------------------------------------


def test_a_caller_is_told_when_there_is_something_to_read() -> None:
    with Rig(source=Source.CALLER) as rig:
        assert rig.pump.run(0) is Wake.DEADLINE
        rig.feed.send(b"x")
        assert rig.pump.run(FAR_NS) is Wake.READABLE
        assert rig.pump.run(FAR_NS) is Wake.READABLE


def test_a_caller_is_not_told_while_a_pipe_is_full() -> None:
    with Rig(source=Source.CALLER, pipe_size_bytes=4096, high_water_bytes=1) as rig:
        rig.send(text(*[TRADE] * 1000))
        rig.feed.send(b"x")
        assert rig.pump.counters().stopped
        assert rig.pump.run(time.monotonic_ns() + 5_000_000) is Wake.DEADLINE
        while rig.pump.counters().stopped:
            rig.read_all()
            rig.pump.run(0)
        assert rig.pump.run(FAR_NS) is Wake.READABLE


def test_there_is_always_room_for_a_read() -> None:
    """Whatever is kept of the record begun: here one byte less than the longest."""
    with Rig(source=Source.CALLER, max_frame_bytes=1 << 20) as rig:
        rig.pump.attach(Source.CALLER, rig.session.fileno())
        sent = b"\x01\x7f" + (1 << 20).to_bytes(8, "big") + b'[{"' + b"x" * ((1 << 20) - 3)
        for at in range(0, len(sent), 100_000):
            piece = sent[at : at + 100_000]
            room = rig.pump.room()
            assert len(room) >= ROOM_BYTES
            room[: len(piece)] = piece
            rig.pump.fed(len(piece))
            assert rig.pump.run(0) is Wake.DEADLINE
            assert not rig.pump.has_input
        assert len(rig.pump.room()) >= ROOM_BYTES


def test_all_of_the_room_may_be_used() -> None:
    message = text(*[TRADE] * 20)
    with Rig(source=Source.CALLER, max_frame_bytes=1000) as rig:
        room = rig.pump.room()
        room[:] = (message * (len(room) // len(message) + 1))[: len(room)]
        rig.pump.fed(len(room))
        rig.drain()
        cut_off_bytes = rig.pump.counters().cut_off_bytes_total
        assert rig.pump.counters().received_bytes_total == len(room) > 1 << 20
    whole_messages, rest_bytes = divmod(len(room), len(message))
    whole_records, rest_bytes = divmod(max(rest_bytes - 5, 0), len(TRADE) + 1)
    assert rig.received[0] == framed(*[TRADE] * (20 * whole_messages + whole_records))
    assert cut_off_bytes == rest_bytes


# The end of a session. ---------------------------------------------------------------------------------------------


def test_all_before_the_end_of_file_is_dealt() -> None:
    with Rig() as rig:
        rig.feed.send(text(TRADE, TRADE) + text(TRADE)[:-5])
        rig.feed.close()
        assert rig.pump.run(FAR_NS) is Wake.EOF
        assert rig.read(0, 1000) == framed(TRADE, TRADE)
        assert rig.pump.run(FAR_NS) is Wake.EOF
        rig.detach()
        assert rig.pump.counters().cut_off_bytes_total == len(TRADE) + 1 - 5


def test_a_reset_is_a_lost_session_with_its_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, Rig() as rig:
        client = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
        with client, peer:
            client.setblocking(False)
            rig.pump.attach(Source.SOCKET, client.fileno())
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            with pytest.raises(SessionLost, match="receiving failed: Connection reset by peer"):
                rig.pump.run(FAR_NS)


@pytest.mark.parametrize("source", SOURCES)
def test_detach_in_the_middle_of_a_message_deals_what_was_received_whole(source: Source) -> None:
    """An event came first, of which the caller ends the session: what stands behind it in the same read is not lost."""
    with Rig(source=source) as rig:
        rig.feed.send(text(STATUS, TRADE, TRADE) + b"\x89\x00" + text(TRADE) + text(TRADE)[:-5])
        while not rig.events:
            rig.run_once()
        rig.pump.detach()
        assert rig.pump.has_input
        rig.run()
        assert not rig.pump.has_input
        rig.drain()
        assert rig.received[0] == framed(TRADE, TRADE, TRADE)
        assert rig.events == [Status(STATUS), Control(model.PING, b"")]
        assert rig.pump.counters().cut_off_bytes_total == len(TRADE) + 1 - 5


def test_detach_right_behind_a_read_deals_what_it_brought() -> None:
    with Rig() as rig:
        rig.feed.send(text(TRADE))
        assert rig.pump.run(0) is Wake.DEADLINE
        assert rig.pump.counters().records_total == 0
        rig.pump.detach()
        rig.drain()
        assert rig.received[0] == framed(TRADE)


def test_detach_while_a_pipe_is_full_deals_the_rest_later() -> None:
    with Rig(pipe_size_bytes=4096, high_water_bytes=1) as rig:
        rig.feed.send(text(*[TRADE] * 1000) + text(TRADE)[:-5])
        rig.run()
        assert rig.pump.counters().stopped
        rig.detach()
        assert rig.pump.has_input
        while rig.pump.has_input:
            rig.read_all()
            rig.run_once()
        assert rig.pump.counters().cut_off_bytes_total == len(TRADE) + 1 - 5
        rig.attach()
        rig.send(text(TRADE))
        rig.drain()
        assert rig.received[0] == framed(*[TRADE] * 1001)


def test_a_close_frame_between_two_sessions_does_not_reach_the_second() -> None:
    with Rig() as rig:
        rig.send(text(TRADE) + b"\x01\x05" + b'[{"a"' + b"\x88\x00" + text(STATUS))
        rig.detach()
        rig.attach()
        rig.send(text(TRADE))
        rig.drain()
        assert rig.received[0] == framed(TRADE, TRADE)
        assert Control(model.CLOSE, b"") in rig.events


@pytest.mark.parametrize("kept", [b"", b"\x81", text(TRADE)[:1], text(TRADE)[:2], text(TRADE)[:3], b"\x01\x01["])
def test_nothing_of_a_session_reaches_the_next(kept: bytes) -> None:
    with Rig() as rig:
        rig.send(kept)
        rig.detach()
        assert rig.pump.counters().cut_off_bytes_total == 0
        rig.attach()
        rig.send(text(TRADE))
        rig.drain()
        assert rig.received[0] == framed(TRADE)


def test_cut_off_bytes_are_those_of_records() -> None:
    with Rig() as rig:
        rig.send_frames(
            [Frame(TEXT, b"[" + TRADE + b" , " + TRADE[:7], fin=False), Frame(CONTINUATION, TRADE[7:9], False)]
        )
        rig.detach()
        assert rig.pump.counters().cut_off_bytes_total == 9


# Drain. ------------------------------------------------------------------------------------------------------------


def test_drained_once_the_readers_have_room_for_all() -> None:
    with Rig(pipes=2, pipe_size_bytes=4096, high_water_bytes=100_000) as rig:
        rig.feed.send(text(*[TRADE] * 1000))
        rig.run()
        rig.begin_drain()
        for _ in range(3):
            assert rig.pump.run(time.monotonic_ns() + 1_000_000) is Wake.DEADLINE
        while rig.run_once() is not Wake.DRAINED:
            rig.read(0, 100)
            rig.read(1, 5000)
        for pipe in range(2):
            assert rig.pump.pipe_counters(pipe).waiting_records == 0
        rig.read_all()
        assert rig.received[0] == rig.received[1] == framed(*[TRADE] * 500)


def test_drained_at_once_where_nothing_waits() -> None:
    with Rig() as rig:
        rig.pump.drain()
        assert rig.pump.run(FAR_NS) == PipeDrained(0)
        assert rig.pump.run(FAR_NS) is Wake.DRAINED
        assert rig.pump.run(FAR_NS) is Wake.DRAINED


def test_drain_shows_the_events_that_were_received() -> None:
    with Rig() as rig:
        rig.feed.send(text(TRADE, STATUS, TRADE, STATUS) + model.wire(Frame(TEXT, b"x")))
        while not rig.events:
            rig.run_once()
        rig.drain()
        assert rig.events == [Status(STATUS), Status(STATUS), Fault(model.NOT_ARRAY, 0, b"x")]
        assert rig.received[0] == framed(TRADE, TRADE)


# Errors of ours, and counters. -------------------------------------------------------------------------------------


def test_a_pipe_without_a_reader_is_an_error_of_ours() -> None:
    wake_read_fd, wake_write_fd = os.pipe()
    read_fd, write_fd = os.pipe2(os.O_NONBLOCK)
    try:
        pump = Pump(
            pipe_fds=[write_fd],
            route=Route.ROUND_ROBIN,
            layout=Layout.POLYGON,
            max_frame_bytes=1000,
            high_water_bytes=1000,
            wake_fd=wake_read_fd,
            stall_ns=FAR_NS,
        )
        os.close(read_fd)
        message = text(TRADE)
        pump.attach(Source.CALLER, -1)
        pump.room()[: len(message)] = message
        pump.fed(len(message))
        with pytest.raises(InternalError, match="writing to pipe 0 failed: Broken pipe"):
            pump.run(0)
    finally:
        for fd in (wake_read_fd, wake_write_fd, write_fd):
            os.close(fd)


def test_the_session_s_counters() -> None:
    with Rig() as rig:
        before_ns = time.monotonic_ns()
        sent = [text(TRADE, STATUS), b"\x89\x00", model.wire(Frame(TEXT, b"?")), b"\x01\x01[" + b"\x80\x01]"]
        for piece in sent:
            rig.send(piece)
        counters = rig.pump.counters()
        assert counters.reads_total == len(sent)
        assert counters.received_bytes_total == sum(map(len, sent))
        assert (counters.frames_total, counters.messages_total) == (5, 3)
        assert (counters.records_total, counters.record_bytes_total) == (1, len(TRADE))
        assert (counters.notices_total, counters.malformed_total) == (1, 1)
        assert before_ns <= counters.last_input_ns <= time.monotonic_ns()


def test_the_last_input_is_also_when_reading_was_taken_up_again() -> None:
    """A silence that a full pipe made is not the feed's."""
    with Rig(pipe_size_bytes=4096, high_water_bytes=1) as rig:
        rig.send(text(*[TRADE] * 500))
        assert rig.pump.counters().stopped
        before_ns = time.monotonic_ns()
        while rig.pump.counters().stopped:
            rig.read_all()
            rig.run_once()
        assert rig.pump.counters().last_input_ns >= before_ns
