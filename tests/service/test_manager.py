"""What a service manager hears of lb: sd_notify(3)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from harness.service_manager import Listening

from lb.key import Key
from lb.service.manager import Manager


def test_assignments_come_in_one_datagram(listening: Listening) -> None:
    manager = Manager(listening.address)
    manager.tell(READY=1, STATUS="all is well")
    assert listening.next() == {"READY": "1", "STATUS": "all is well"}
    manager.close()


def test_a_line_break_in_a_text_begins_no_assignment(listening: Listening) -> None:
    manager = Manager(listening.address)
    manager.tell(STATUS="the feed says\nREADY=1")
    assert listening.next() == {"STATUS": "the feed says READY=1"}
    manager.close()


def test_no_secret_is_told(listening: Listening) -> None:
    manager = Manager(listening.address)
    manager.hide = Key("k3y-that-nobody-may-see").hide
    manager.tell(STATUS="refused: k3y-that-nobody-may-see")
    assert listening.next() == {"STATUS": "refused: ***"}
    manager.close()


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "notify"])
def test_nobody_listens(address: str) -> None:
    manager = Manager(address)
    assert not manager.listens
    manager.tell(READY=1)
    manager.close()


def test_a_manager_that_has_gone_or_does_not_read_stops_nothing(tmp_path: Path) -> None:
    listening = Listening(f"{tmp_path}/notify")
    manager = Manager(listening.address)
    for _ in range(10_000):  # more than its queue takes
        manager.tell(STATUS="x" * 100)
    listening.close()
    manager.tell(STATUS="x")
    manager.close()


def test_the_variables_are_lb_s_alone(listening: Listening) -> None:
    environment = {
        "NOTIFY_SOCKET": listening.address, "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid()), "HOME": "/"
    }  # fmt: skip
    manager = Manager.of_environment(environment)
    assert environment == {"HOME": "/"}
    assert manager.watchdog_ns == 10_000_000_000
    manager.tell(READY=1)
    assert listening.next() == {"READY": "1"}
    manager.close()


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}],
)
def test_no_watchdog_is_wanted_of_this_process(environment: dict[str, str]) -> None:
    assert Manager.of_environment(environment).watchdog_ns is None
