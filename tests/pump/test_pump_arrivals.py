"""Records as they came, one now and then, with the time of the read that brought them."""

from __future__ import annotations

import time

import model
import pytest
from model import TEXT, Frame
from pumping import Rig

from lb.pump import Arrival, Policy, Route, Source


def trade(number: int, pad: int = 60) -> bytes:
    return b'{"ev":"T","sym":"S%d","n":%d,"pad":"%s"}' % (number % 7, number, b"x" * pad)


def send(rig: Rig, *records: bytes) -> None:
    rig.send(model.wire(Frame(TEXT, b"[" + b",".join(records) + b"]")))


@pytest.mark.parametrize("source", [Source.SOCKET, Source.CALLER])
@pytest.mark.parametrize("route", Route)
def test_the_newest_is_of_the_newest_read_with_its_time(source: Source, route: Route) -> None:
    with Rig(pipes=3, source=source, route=route) as rig:
        assert rig.pump.newest() is None
        for number in range(20):
            before_ns = time.monotonic_ns()
            send(rig, trade(number))
            newest = rig.pump.newest()
            assert newest is not None
            assert newest.record == trade(number)
            assert before_ns <= newest.received_ns <= time.monotonic_ns()
        send(rig, *map(trade, range(20, 60)))
        newest = rig.pump.newest()
        assert newest is not None
        assert newest.record in [trade(number) for number in range(20, 60)]


def test_of_a_long_record_the_begin_is_kept() -> None:
    with Rig() as rig:
        send(rig, trade(1, pad=5000))
        newest = rig.pump.newest()
        assert newest is not None
        assert newest.record == trade(1, pad=5000)[:240]


def test_the_first_of_each_session_is_kept_and_few_others() -> None:
    with Rig(pipes=2) as rig:
        firsts = []
        begun_ns = time.monotonic_ns()
        for session in range(3):
            newest = rig.pump.newest()
            number = newest.number if newest else 0
            for k in range(50):
                send(rig, trade(1000 * session + k))
            first = rig.pump.arrivals(number)[0]
            firsts.append(first.record)
            assert first.number == number
            rig.detach()
            rig.attach()
        assert firsts == [trade(0), trade(1000), trade(2000)]
        kept = rig.pump.arrivals(0)
        assert [arrival.number for arrival in kept] == list(range(len(kept)))
        assert len(kept) <= 3 + (time.monotonic_ns() - begun_ns) / 20e6
        assert rig.pump.arrivals(len(kept)) == []


def test_the_newest_ones_are_kept() -> None:
    with Rig() as rig:
        for session in range(200):
            send(rig, trade(session))
            rig.detach()
            rig.attach()
        kept = rig.pump.arrivals(0)
        assert [arrival.number for arrival in kept] == list(range(200 - 128, 200))
        assert [arrival.record for arrival in kept] == [trade(number) for number in range(200 - 128, 200)]
        assert [arrival.received_ns for arrival in kept] == sorted(arrival.received_ns for arrival in kept)


def test_what_waits_for_a_full_pipe_is_not_taken_for_new() -> None:
    with Rig(pipes=2, pipe_size_bytes=4096, high_water_bytes=1 << 20) as rig:
        rig.pump.set_policy(0, Policy.DROP_NEWEST)
        for number in range(400):
            send(rig, trade(2 * number), trade(2 * number + 1))
            rig.read(1, 1 << 16)
            assert _newest(rig).record in (trade(2 * number), trade(2 * number + 1))
        assert rig.pump.pipe_counters(0).waiting_records > 0


def _newest(rig: Rig) -> Arrival:
    newest = rig.pump.newest()
    assert newest is not None
    return newest
