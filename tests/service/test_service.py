"""When lb tells its service manager what, over real datagrams; the clock is the test's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from harness.service_manager import Listening

from lb.service.condition import Condition
from lb.service.manager import Manager
from lb.service.progress import Progress
from lb.service.service import LOOK_S, MARGIN_S, Service

S = 1_000_000_000
BEGUN = Condition(
    is_ready=False, session="opening", tls="none", received_bytes=0, records=0, socket_bytes=0, held_bytes=0,
    is_held_up=False, lag_ms=None, running=0, slots=4,
)  # fmt: skip
OPEN = replace(BEGUN, is_ready=True, session="open", received_bytes=100, running=4)


class Told:
    """A service whose condition the test sets, and what it has told at each look."""

    def __init__(self, folder: Path, watchdog_ns: int | None = None) -> None:
        self.listening = Listening(f"{folder}/notify")
        self.manager = Manager(self.listening.address, watchdog_ns)
        self.condition = BEGUN
        self.service = Service(self.manager, lambda: self.condition)

    def at(self, now_s: float) -> dict[str, str]:
        self.service.tend(int(now_s * S))
        told = {}
        while self.listening.has_more():
            told |= self.listening.next()
        return told


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    there = Told(tmp_path, watchdog_ns=10 * S)
    yield there
    there.manager.close()
    there.listening.close()


def test_ready_is_told_once_and_not_before_all_is_there(told: Told) -> None:
    assert "READY" not in told.at(0)
    assert "READY" not in told.at(1)
    told.condition = OPEN
    assert told.at(2)["READY"] == "1"
    told.condition = replace(OPEN, is_ready=False, session="waiting")
    assert "READY" not in told.at(8)
    told.condition = OPEN
    assert "READY" not in told.at(14)


def test_until_it_is_ready_it_is_looked_at_often(told: Told) -> None:
    told.at(0)
    assert told.service.deadline_ns == LOOK_S * S


def test_status_has_rate_lag_and_backlog(told: Told) -> None:
    told.condition = replace(OPEN, records=1_000_000)
    told.at(0)
    told.condition = replace(
        OPEN, records=1_490_000, lag_ms=1.25, held_bytes=2_500_000, tls="kernel TLS 1.3 AES-128-GCM", running=3
    )
    assert told.at(5)["STATUS"] == (
        "98,000 records/s, lag 1.2 ms, backlog 2.5 MB, 3 of 4 workers, kernel TLS 1.3 AES-128-GCM"
    )
    told.condition = replace(OPEN, records=1_490_000, is_held_up=True)
    assert told.at(10)["STATUS"] == ("0 records/s, backlog 0.0 MB, 4 of 4 workers, a full pipe stops the reading")
    told.condition = replace(BEGUN, session="waiting", running=4)
    assert told.at(15)["STATUS"] == "no session (waiting), 4 of 4 workers"


def test_the_watchdog_is_fed_four_times_within_its_time_while_bytes_are_read(told: Told) -> None:
    told.condition = OPEN
    for turn in range(8):
        told.condition = replace(told.condition, received_bytes=turn, socket_bytes=50_000)
        assert told.at(2.5 * turn)["WATCHDOG"] == "1"
        assert told.service.deadline_ns == 2.5 * (turn + 1) * S


def test_the_watchdog_is_not_fed_while_what_has_come_is_not_read(told: Told) -> None:
    told.condition = replace(OPEN, socket_bytes=50_000)
    told.at(0)
    assert "WATCHDOG" not in told.at(2.5)
    assert "WATCHDOG" not in told.at(5)
    told.condition = replace(told.condition, is_held_up=True)
    assert "WATCHDOG" in told.at(7.5)  # a slow worker's fault
    told.condition = replace(OPEN, received_bytes=200)
    assert "WATCHDOG" in told.at(10)
    assert "WATCHDOG" in told.at(12.5)  # nothing has come: a quiet night


def test_a_stop_is_told_with_the_time_that_it_may_take(told: Told) -> None:
    told.condition = OPEN
    told.at(0)
    told.service.stopping(time.monotonic_ns() + 300 * S)
    ending = told.listening.next()
    assert ending["STOPPING"] == "1"
    assert 299 < int(ending["EXTEND_TIMEOUT_USEC"]) / 1e6 - MARGIN_S <= 300
    assert told.at(10) == {"WATCHDOG": "1"}  # the drain's loop is watched as well


def test_without_a_manager_nothing_is_ever_due() -> None:
    service = Service(Manager(), lambda: pytest.fail("nobody wants to know"))
    service.tend(1 << 61)
    assert service.deadline_ns == 1 << 62


def test_a_record_that_has_just_come_is_no_standstill() -> None:
    """Each look may fall between an arrival and its reading: the next one sees that it was read."""
    progress = Progress()
    assert progress.look(100, 0, is_held_up=False)
    assert not progress.look(100, 300, is_held_up=False)
    assert progress.look(400, 300, is_held_up=False)
