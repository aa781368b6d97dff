"""lb is killed, and its keeper starts it again: it goes on with the same session at the
right byte, with what waits and what nobody has read. What a worker had in hand is lost with it."""

from __future__ import annotations

import os
import signal
import sys
from itertools import chain
from pathlib import Path

import pytest
from harness import Authority, Feed, Flood, Lb, message
from harness.flood import numbers_of, record
from harness.lb_process import hold
from harness.redelivering import LITTLE, REDELIVER, assert_nothing_lost
from test_a_worker_that_dies_costs_no_record_where_it_acknowledges import HANDLER, handled

PIPES = 3


def kill(pid: int, lb: Lb, number: signal.Signals = signal.SIGKILL) -> int:
    """Returns who was started in its place."""
    os.kill(pid, number)
    return int(lb.await_line("lb started")["pid"])


def numbers(lb: Lb) -> list[int]:
    return sorted(chain.from_iterable(map(numbers_of, lb.recording.pipes.values())))


def test_at_any_moment_of_a_flood() -> None:
    """Each kill costs at most the record that each recorder had in hand, and none comes twice."""
    kills = 3
    with Feed() as feed, Lb(feed.url, PIPES, keeper=True) as lb, feed.session() as peer, Flood(peer):
        pid = lb.await_line("lb started")["pid"]
        for _ in range(kills):
            lb.await_records(lb.recording.total + 1000)
            pid = kill(pid, lb)
            assert lb.await_line("lb was killed: taken over")["session"] == "kept"
        lb.await_records(lb.recording.total + 1000)
        end = lb.stop()
    received = end.balance["received"]
    assert end.exit_code == 0
    assert end.balance["exact"]
    assert received == end.balance["written"]
    got = numbers(lb)
    assert len(got) == len({*got}), "none comes twice"
    missing = {*range(received)}.difference(got)
    assert len(missing) <= kills * PIPES
    for pipe, records in lb.recording.pipes.items():
        assert numbers_of(records) == sorted(numbers_of(records))
        assert len([number for number in missing if number % PIPES == pipe]) <= kills


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_what_no_worker_had_in_hand_is_there(tmp_path: Path, number: signal.Signals) -> None:
    """The worker stands still: the pipe is full, more waits in lb, and more in the socket. A fault of lb's own kills
    as well as SIGKILL."""
    limit = 20_000
    words = ("--pipe-size", "4096", "--backlog", "65536")
    with Feed() as feed, Lb(feed.url, 1, *words, keeper=True) as lb, feed.session() as peer:
        pid = lb.await_line("lb started")["pid"]
        (worker,) = lb.await_workers(1)
        hold(worker)
        with Flood(peer, limit=limit):
            lb.await_line("a full pipe stops the reading")
            kill(pid, lb, number)
            assert lb.await_line("lb was killed: taken over")["session"] == "kept"
            lb.await_records(limit)
        assert lb.stop().balance["written"] == limit
    assert numbers_of(lb.recording.pipes[0]) == [*range(limit)]


def test_with_redelivery_nothing_is_lost(tmp_path: Path) -> None:
    worker = (sys.executable, "-c", HANDLER, str(tmp_path))
    with (
        Feed() as feed,
        Lb(feed.url, PIPES, *REDELIVER, *LITTLE, worker=worker, keeper=True) as lb,
        feed.session() as peer,
        Flood(peer),
    ):
        pid = lb.await_line("lb started")["pid"]
        for _ in range(PIPES):
            lb.await_line("worker started")
        while sum(lb.balance()["acknowledged"]) < 1000:
            pass
        kill(pid, lb)
        taken_over = lb.await_line("lb was killed: taken over")
        assert taken_over["session"] == "kept"
        while sum(lb.balance()["acknowledged"]) < 2000:
            pass
        end = lb.stop()
    assert end.exit_code == 0
    assert_nothing_lost(end.balance, end.balance["received"])
    texts = {text for records in handled(tmp_path).values() for _, text in records}
    assert sorted(numbers_of([*texts])) == [*range(end.balance["received"])]


def test_with_tls_in_userspace_the_session_is_opened_anew_and_what_was_received_is_kept(authority: Authority) -> None:
    words = ("--ca-file", authority.ca_file, "--tls", "user", "--pipe-size", "4096")
    tls = authority.server_context("127.0.0.1")
    with Feed(tls=tls) as feed, Lb(feed.url, 1, *words, keeper=True) as lb:
        pid = lb.await_line("lb started")["pid"]
        with feed.session() as peer:
            (worker,) = lb.await_workers(1)
            hold(worker)
            peer.say(message(map(record, range(200))))
            while lb.balance()["received"] < 200:
                pass
            kill(pid, lb)
            told = lb.await_line("lb was killed: taken over")
            assert told["session"] == "opened anew"
            assert int(str(told["waiting_records"])) > 0
        with feed.session() as peer:
            peer.say(message(map(record, range(200, 300))))
            lb.await_records(300)
            assert lb.stop().exit_code == 0
    assert numbers_of(lb.recording.pipes[0]) == [*range(300)]


def test_behind_an_upgrade() -> None:
    limit = 3000
    with (
        Feed() as feed,
        Lb(feed.url, 1, keeper=True, start_new_session=True) as lb,
        feed.session() as peer,
    ):
        pid = lb.await_line("lb started")["pid"]
        (worker,) = lb.await_workers(1)
        hold(worker)
        with Flood(peer, limit=limit):
            os.kill(pid, signal.SIGHUP)
            assert lb.await_line("upgraded")["session"] == "kept"
            kill(pid, lb)
            assert lb.await_line("lb was killed: taken over")["session"] == "kept"
            lb.await_records(limit)
        assert lb.stop().balance["written"] == limit
    assert numbers_of(lb.recording.pipes[0]) == [*range(limit)]


def test_a_restart_keeps_the_session() -> None:
    """The recorder has one record in hand at most when it is asked to end."""
    with Feed() as feed, Lb(feed.url, 1, keeper=True) as lb, feed.session() as peer, Flood(peer):
        lb.await_records(1000)
        lb.balance()  # in the turn behind it all is in the store
        lb.send_signal(signal.SIGUSR2)
        assert lb.await_line("restarted: taken over")["session"] == "kept"
        lb.await_records(lb.recording.total + 1000)
        end = lb.stop()
    assert (end.exit_code, end.balance["exact"]) == (0, True)
    got = numbers(lb)
    assert len(got) == len({*got}) >= end.balance["received"] - 1


def test_a_session_that_is_over_is_not_held_open() -> None:
    """The manager has a copy of its descriptor, and gives it up."""
    with Feed() as feed, Lb(feed.url, 1, keeper=True) as lb:
        with feed.session() as peer:
            lb.await_workers(1)
            peer.say(b"no JSON\xff")
            assert peer.receive_to_end() is not None
        with feed.session() as peer, Flood(peer, limit=100):
            lb.await_records(100)
        assert lb.stop().exit_code == 0


REFUSED = {
    "another command line": ("import sys; sys.argv[1:1] = ['--grace', '7']", "the command line is another one"),
    "another pump": ("import lb.pump as of; of.description = dict", "whose pump is laid out otherwise"),
    "another document": ("import lb.handover.kept as of; of._MAGIC = b'lb other'", "is of another version, or damaged"),
}
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("program", REFUSED)
def test_what_can_not_be_taken_over_is_told_and_all_begins_anew(tmp_path: Path, program: str) -> None:
    code, why = REFUSED[program]
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    installed = tmp_path / "sitecustomize.py"
    installed.touch()
    with Feed() as feed, Lb(feed.url, 1, keeper=True, environment=environment) as lb:
        pid = lb.await_line("lb started")["pid"]
        with feed.session() as peer:
            lb.await_workers(1)
            with Flood(peer, limit=100):
                lb.await_records(100)
            installed.write_text(f"import sys\nif 'lb' in sys.orig_argv:\n    {code}\n")
            kill(pid, lb)
            told = lb.await_line("what a killed lb has left is not taken over: all begins anew")
            assert why in str(told["why"])
            installed.write_text("")
            assert peer.receive_to_end() is not None
        with feed.session() as peer, Flood(peer, limit=100):
            lb.await_records(200)
        assert lb.stop().exit_code == 0


def test_a_restart_that_can_not_keep_the_session_is_a_stop(tmp_path: Path) -> None:
    """How one keeps it is tested under systemd (kernel_tls/test_a_service_keeps_its_session.py)."""
    code, _ = REFUSED["another pump"]
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    installed = tmp_path / "sitecustomize.py"
    installed.touch()
    with Feed() as feed, Lb(feed.url, 1, keeper=True, environment=environment) as lb, feed.session() as peer:
        lb.await_workers(1)
        with Flood(peer, limit=100):
            lb.await_records(100)
        installed.write_text(f"import sys\nif 'lb' in sys.orig_argv:\n    {code}\n")
        lb.balance()  # in the turn behind it all is in the store
        lb.send_signal(signal.SIGUSR2)
        assert "laid out otherwise" in lb.await_line("the next start can't go on with the session")["why"]
        end = lb.wait()
        assert peer.receive().close_code == 1000
    assert (end.exit_code, end.balance["written"], end.balance["exact"]) == (0, 100, True)
    assert lb.recording.ended_pipes == 1
