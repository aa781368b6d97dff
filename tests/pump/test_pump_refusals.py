"""The system refuses. No memory for a write or a poll() is waited out; any other error is told, and what waits stays.

The kernel really refuses here: by a filter of seccomp(2), or by a limit.
"""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Callable
from errno import EBADMSG, ECONNRESET, EINVAL, EIO, EMSGSIZE, ENOBUFS, ENOMEM, ETIMEDOUT

import model
import pytest
from children import can_refuse, in_a_child, refuse
from model import TEXT, Frame
from pumping import Rig

from lb.errors import KernelTlsFailed, SessionLost
from lb.pump import PipeDrained, PipeFailed, Source, Wake

FAR_NS = 1 << 62
TRADE = b'{"ev":"T","sym":"AAPL","p":1}'
FRAMED = len(TRADE).to_bytes(4, "little") + TRADE
LARGE_BYTES = 1000
"""Writes of less are refused, so that what is refused first succeeds once more waits."""
PAUSE_NS = 10_000_000
"""PUMP_PAUSE_MS of pump_state.h."""

needs_refusals = pytest.mark.skipif(not can_refuse(), reason="NOT TESTED: seccomp(2) filters are not to be had here")


def text(count: int) -> bytes:
    return model.wire(Frame(TEXT, b"[" + b",".join([TRADE] * count) + b"]"))


def pauses_in(rig: Rig, rounds: int) -> int:
    """How often it pauses in the time of so many pauses, in which nothing else happens."""
    before = rig.pump.counters().pauses_total
    assert rig.pump.run(time.monotonic_ns() + rounds * PAUSE_NS) is Wake.DEADLINE
    return rig.pump.counters().pauses_total - before


def run_for(rig: Rig, is_done: Callable[[], bool]) -> None:
    while not is_done():
        rig.pump.run(time.monotonic_ns() + PAUSE_NS)
        rig.check_balance()


@needs_refusals
@pytest.mark.parametrize("errno", [ENOMEM, ENOBUFS])
def test_a_write_without_memory_is_tried_again_after_a_pause(errno: int) -> None:
    def work() -> None:
        with Rig(pipes=2, high_water_bytes=10_000) as rig:
            refuse("write", errno, 2, 0, LARGE_BYTES)
            rig.send(text(2))
            assert 1 <= pauses_in(rig, 5) <= 2 * 6  # a busy wait would meet thousands
            assert [rig.pump.pipe_counters(pipe).waiting_records for pipe in range(2)] == [1, 1]
            rig.send(text(100))
            assert rig.pump.counters().stopped == 0
            run_for(rig, lambda: all(rig.pump.pipe_counters(pipe).waiting_records == 0 for pipe in range(2)))
            rig.read_all()
            assert rig.received == [FRAMED * 51] * 2

    assert in_a_child(work) == 0


@needs_refusals
def test_a_pipe_without_memory_stops_the_reading_like_a_full_one() -> None:
    def work() -> None:
        with Rig(high_water_bytes=LARGE_BYTES // 2) as rig:
            refuse("write", ENOMEM, 2, 0, LARGE_BYTES)
            rig.send(text(100))
            assert rig.pump.counters().stopped
            assert rig.pump.pipe_counters(0).waiting_bytes <= LARGE_BYTES // 2
            assert 1 <= pauses_in(rig, 5) <= 6
            rig.begin_drain()  # so more waits, and goes
            run_for(rig, lambda: rig.pump.pipe_counters(0).waiting_records == 0)
            rig.read_all()
            assert rig.received == [FRAMED * 100]

    assert in_a_child(work) == 0


@needs_refusals
def test_any_other_error_is_told_and_what_waits_is_tried_again() -> None:
    """By the next call already, and the other pipes get theirs meanwhile."""

    def work() -> None:
        with Rig(pipes=3, source=Source.CALLER, high_water_bytes=10_000) as rig:
            refuse("write", EIO, 2, 0, LARGE_BYTES)
            feed(rig, text(1))
            failed(rig, 0)
            feed(rig, text(3 * 40))
            assert rig.pump.run(0) is Wake.DEADLINE
            assert [rig.pump.pipe_counters(pipe).written_total for pipe in range(3)] == [41, 40, 40]
            feed(rig, text(1))
            failed(rig, 1)
            failed(rig, 1)
            rig.check_balance()
            rig.pump.close_pipe(1)
            assert rig.pump.run(0) is Wake.DEADLINE
            rig.begin_drain()
            rig.run()
            assert rig.told == [PipeDrained(0), PipeDrained(2)]
            assert rig.pump.pipe_counters(1).waiting_records == 1

    assert in_a_child(work) == 0


@needs_refusals
def test_an_error_while_dealing_does_not_end_the_session() -> None:
    """The outbox is full, so the write comes in the middle of dealing; what is behind is kept."""

    def work() -> None:
        with Rig(high_water_bytes=LARGE_BYTES // 2) as rig:
            refuse("write", EIO, 2, 0, LARGE_BYTES)
            rig.feed.send(text(100))
            failed(rig, 0)
            assert rig.pump.has_input
            rig.begin_drain()
            run_for(rig, lambda: rig.pump.pipe_counters(0).waiting_records == 0)
            rig.read_all()
            assert rig.received == [FRAMED * 100]

    assert in_a_child(work) == 0


@needs_refusals
def test_an_error_takes_no_event_with_it() -> None:
    def work() -> None:
        with Rig() as rig:
            refuse("write", EIO, 2, 0, LARGE_BYTES)
            rig.feed.send(text(1) + b"\x89\x00")
            failed(rig, 0, rig.run_once)
            assert rig.events == [model.Control(model.PING, b"")]

    assert in_a_child(work) == 0


def feed(rig: Rig, sent: bytes) -> None:
    rig.pump.room()[: len(sent)] = sent
    rig.pump.fed(len(sent))


def failed(rig: Rig, pipe: int, run: Callable[[], object] | None = None) -> None:
    """Run until the pipe fails."""

    def go_on() -> None:
        while True:
            run() if run else rig.pump.run(FAR_NS)

    with pytest.raises(PipeFailed, match=f"writing to pipe {pipe} failed: Input/output error") as caught:
        go_on()
    assert caught.value.pipe == pipe


def poll_without_memory() -> None:
    refuse("poll", ENOMEM, 1, 4, 1 << 31)


def poll_over_the_limit() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))


@pytest.mark.parametrize("refusal", [pytest.param(poll_without_memory, marks=needs_refusals), poll_over_the_limit])
def test_a_poll_that_is_refused_is_waited_out(refusal: Callable[[], None]) -> None:
    """Two full pipes and more are refused: the feed is read, pipes are written, signals and deadlines kept all the
    same."""

    def work() -> None:
        with Rig(pipes=3, pipe_size_bytes=4096, high_water_bytes=1 << 20) as rig:
            refusal()
            rig.send(text(3000))
            assert all(rig.pump.pipe_counters(pipe).waiting_records for pipe in range(3))
            assert 1 <= pauses_in(rig, 5) <= 6
            os.write(rig.wake_write_fd, b"x")
            assert rig.pump.run(FAR_NS) is Wake.SIGNAL
            os.read(rig.wake_read_fd, 1)
            rig.feed.send(text(30))
            run_for(rig, lambda: rig.pump.counters().records_total == 3030)
            while any(rig.pump.pipe_counters(pipe).waiting_records for pipe in range(3)):
                rig.read_all()
                rig.pump.run(time.monotonic_ns() + PAUSE_NS)
            rig.read_all()
            assert rig.received == [FRAMED * 1010] * 3

    assert in_a_child(work) == 0


@needs_refusals
@pytest.mark.parametrize(
    ("errno", "is_of_tls"),
    [(EBADMSG, True), (EIO, True), (EINVAL, True), (EMSGSIZE, True), (ECONNRESET, False), (ETIMEDOUT, False)],
)
def test_what_the_kernels_tls_refuses_is_told_apart_from_what_the_network_does(errno: int, is_of_tls: bool) -> None:
    def work() -> None:
        with Rig(source=Source.KTLS) as rig:
            refuse("recvmmsg", errno, 2, 0, 1 << 31)
            with pytest.raises(SessionLost, match="receiving failed: ") as raised:
                rig.send(text(1))
            assert isinstance(raised.value, KernelTlsFailed) == is_of_tls

    assert in_a_child(work) == 0


def test_bytes_whose_record_type_is_cut_off_are_no_data() -> None:
    """A control message that is longer than ours stands for one that the kernel had no room for (MSG_CTRUNC)."""
    with Rig(source=Source.KTLS) as rig:
        rig.send(text(2))
        rig.session.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        with pytest.raises(KernelTlsFailed, match="the type of a TLS record was cut off"):
            rig.send(text(3))
        rig.drain()
        assert rig.received == [FRAMED * 2]
