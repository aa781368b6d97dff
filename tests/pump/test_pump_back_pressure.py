"""A full pipe stops the reading. What waits is bounded, nothing is lost, order is kept, and the wait is no busy one."""

from __future__ import annotations

import time
from itertools import count

import model
import pytest
from model import TEXT, Frame
from pumping import Rig, assert_delivered, modelled

from lb.pump import Route, Source, Wake

pytestmark = pytest.mark.slow

RECORDS = [f'{{"ev":"T","sym":"S{number % 7}","i":"{number}"}}'.encode() for number in range(20_000)]
FRAMES = [Frame(TEXT, b"[" + b",".join(RECORDS[at : at + 40]) + b"]") for at in range(0, len(RECORDS), 40)]
SENT = b"".join(map(model.wire, FRAMES))
LARGEST_READS_BYTES = 1 << 20


@pytest.mark.parametrize("source", [Source.SOCKET, Source.CALLER])
@pytest.mark.parametrize("route", Route)
@pytest.mark.parametrize("high_water_bytes", [1, 40, 1000, 60_000])
def test_a_reader_that_stands_still_stops_the_feed(source: Source, route: Route, high_water_bytes: int) -> None:
    expected = modelled(3, route)
    expected.session(FRAMES)
    with Rig(pipes=3, route=route, source=source, pipe_size_bytes=4096, high_water_bytes=high_water_bytes) as rig:
        rig.send(SENT)
        stopped = rig.pump.counters()
        assert (stopped.stopped, stopped.full_total) == (1, 1)
        assert stopped.received_bytes_total < min(len(SENT), LARGEST_READS_BYTES)
        assert rig.queued_bytes(stopped.full_pipe) > 3000
        for _ in range(3):  # a busy wait would do something
            assert rig.pump.run(time.monotonic_ns() + 2_000_000) is Wake.DEADLINE
        assert rig.pump.counters() == stopped
        rig.finish()
        assert_delivered(rig, expected)


@pytest.mark.parametrize("bite_bytes", [1, 3, 4, 40, 4095, 4096])
def test_a_reader_that_takes_small_bites(bite_bytes: int) -> None:
    expected = modelled(1, Route.ROUND_ROBIN)
    expected.session(FRAMES[:3])
    with Rig(pipe_size_bytes=4096, high_water_bytes=100) as rig:
        rig.send_frames(FRAMES[:3])
        while len(rig.received[0]) < len(expected.stream(0)):
            assert rig.read(0, bite_bytes)
            rig.run()
        assert_delivered(rig, expected)


def test_other_pipes_get_all_that_came_before_the_stop() -> None:
    with Rig(pipes=4, pipe_size_bytes=4096, high_water_bytes=10) as rig:
        for step in count():
            rig.send(SENT[step * 1000 : (step + 1) * 1000])
            for pipe in (0, 1, 3):
                while rig.read(pipe, 1 << 16):
                    pass
            if rig.pump.counters().stopped:
                break
        counters = rig.pump.counters()
        assert counters.full_pipe == 2
        for pipe in (0, 1, 3):
            assert rig.pump.pipe_counters(pipe).waiting_records == 0
        assert [rig.pump.pipe_counters(pipe).records_total for pipe in range(4)] == [
            (counters.records_total + 3 - pipe) // 4 for pipe in range(4)
        ]


def test_a_record_over_the_high_water_mark_and_the_pipe_s_size() -> None:
    records = [b'{"a":"' + b"x" * length + b'"}' for length in (3, 200_000, 5, 100_000, 7)]
    frames = [Frame(TEXT, b"[" + record + b"]") for record in records]
    expected = modelled(1, Route.ROUND_ROBIN)
    expected.session(frames)
    with Rig(pipe_size_bytes=4096, high_water_bytes=1000) as rig:
        rig.send_frames(frames)
        assert rig.pump.counters().stopped
        rig.finish()
        assert_delivered(rig, expected)


def test_stops_are_counted_once_each() -> None:
    with Rig(pipe_size_bytes=4096, high_water_bytes=1) as rig:
        for turn in range(1, 4):
            rig.send_frames(FRAMES[:10])
            assert rig.pump.counters().full_total == turn
            while rig.pump.counters().stopped:
                rig.read_all()
                rig.run_once()
            rig.read_all()


def test_many_pipes_filled_and_emptied_in_any_order() -> None:
    """The list of full pipes and that of all are not the same."""
    pipes = 50
    expected = modelled(pipes, Route.ROUND_ROBIN)
    expected.session(FRAMES)
    with Rig(pipes=pipes, pipe_size_bytes=4096, high_water_bytes=5000) as rig:
        rig.send(SENT)
        turn = 0
        while rig.pump.counters().records_total < len(RECORDS):
            rig.read(turn * 7 % pipes, 5000)
            rig.send(b"")
            turn += 1
        rig.finish()
        assert_delivered(rig, expected)


def test_the_rest_of_an_ended_session_being_dealt_is_told() -> None:
    """Who waits for has_input to end must be woken by that, or else keep asking."""
    with Rig(pipe_size_bytes=4096, high_water_bytes=1000) as rig:
        rig.send(SENT)
        rig.pump.detach()
        assert rig.pump.has_input
        while rig.pump.has_input:
            rig.read(0, 1 << 20)
            event = rig.pump.run(0)
        assert event is Wake.BUDGET
