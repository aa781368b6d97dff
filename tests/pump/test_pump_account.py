"""A pump that goes on by another's account is the same to everybody but the feed: for all routes, policies, bounds and
readers, however often that happens and whatever waits then. An account that can't be is refused."""

from __future__ import annotations

import tempfile
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model import TEXT, Frame
from pumping import Rig, assert_delivered, modelled
from spill_rig import TRADES, sent_as, spilling
from test_pump_retain import Retaining

from lb.pump import AccountRefused, Route, account

COUNTS = st.lists(st.integers(0, 200), min_size=1, max_size=5)
BITES = st.lists(st.sampled_from([0, 1, 5, 1000, 1 << 20]), min_size=1, max_size=6)


@settings(max_examples=60)
@given(
    route=st.sampled_from(Route),
    pipes=st.integers(1, 4),
    high_water_bytes=st.sampled_from([1, 300, 1 << 14]),
    counts=COUNTS,
    bites=BITES,
)
def test_any_sessions_with_an_account_between_them(
    route: Route, pipes: int, high_water_bytes: int, counts: list[int], bites: list[int]
) -> None:
    expected = modelled(pipes, route)
    with Rig(pipes=pipes, route=route, pipe_size_bytes=4096, high_water_bytes=high_water_bytes) as rig:
        readers = cycle(range(pipes))
        for count, bite in zip(counts, cycle(bites), strict=False):
            frame = Frame(TEXT, b"[" + b",".join(TRADES[:count]) + b"]")
            expected.session([frame])
            rig.send_frames([frame])
            if bite:
                rig.read(next(readers), bite)
            rig.take_account()
        rig.finish()
        assert_delivered(rig, expected)


@settings(max_examples=20)  # each makes and deletes many files
@given(high_water_bytes=st.sampled_from([1, 1000, 5000]), counts=COUNTS, bites=BITES)
def test_what_is_spilled_stays_on_disk_and_comes_in_its_turn(
    high_water_bytes: int, counts: list[int], bites: list[int]
) -> None:
    expected = modelled(1, Route.ROUND_ROBIN)
    with (
        tempfile.TemporaryDirectory() as folder,
        spilling(Path(folder), high_water_bytes=high_water_bytes) as rig,
    ):
        for count, bite in zip(counts, cycle(bites), strict=False):
            expected.session([Frame(TEXT, b"[" + b",".join(TRADES[:count]) + b"]")])
            rig.send(sent_as(TRADES[:count]))
            if bite:
                rig.read(0, bite)
            rig.take_account()
        rig.deliver()
        assert bytes(rig.received[0]) == expected.stream(0)
        assert not any(Path(folder).iterdir())


def test_what_is_not_acknowledged_is_written_once_more_by_the_other() -> None:
    with Retaining(2, pipe_size_bytes=1 << 16, high_water_bytes=1 << 16) as rig:
        for turn in range(4):
            rig.send(sent_as(TRADES[turn * 100 : turn * 100 + 100]))
            rig.read(turn % 2, 3000)
            rig.acknowledge(turn % 2, 7)
            rig.take_account()
            rig.check(0)
            rig.die(1)
        rig.acknowledges_all = True
        rig.read_all()
        rig.finish()
        rig.assert_nothing_lost([TRADES[0:400:2], TRADES[1:400:2]])


def test_an_account_that_can_not_be_is_refused() -> None:
    with Rig(pipes=1, pipe_size_bytes=4096) as rig:
        rig.send(sent_as(TRADES[:300]))
        told, content = account.tell(rig.pump, [])
        (pipe,) = told["pipes"]
        assert pipe["waiting_bytes"] > pipe["begun_bytes"] > 0
        for name, wrong in (
            ("begun_bytes", pipe["begun_bytes"] + 4096),
            ("dealt_total", pipe["dealt_total"] + 1),
            ("retained_bytes", 1),
            ("waiting_bytes", pipe["waiting_bytes"] - 1),
            ("waiting_bytes", 1 << 60),
            ("front_bytes", 8),
            ("is_spilled", 1),
        ):
            with Rig(pipes=1) as other:
                _refuses(other, {**told, "pipes": [{**pipe, name: wrong}]}, content)


def test_a_number_that_the_other_does_not_know_is_left_out() -> None:
    with Rig(pipes=1, pipe_size_bytes=4096) as rig, Rig(pipes=1) as other:
        rig.send(sent_as(TRADES[:300]))
        told, content = account.tell(rig.pump, [])
        del told["counters"]["reads_total"]
        account.take(other.pump, {**told, "pipes": [{**told["pipes"][0], "of_tomorrow": 1}]}, content)
        before, after = rig.pump.counters(), other.pump.counters()
        assert after.records_total == before.records_total == 300
        assert after.reads_total == 0
        assert other.pump.pipe_counters(0) == rig.pump.pipe_counters(0)


def _refuses(rig: Rig, told: dict[str, Any], content: bytes) -> None:
    with pytest.raises(AccountRefused):
        account.take(rig.pump, told, content)
