"""SIGTERM and SIGINT, and SIGUSR2 where nothing is kept for a restart: read no more, deliver what was received, let
the workers end, exit 0."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from harness import SOON, Authority, Feed, Flood, Lb, inline, message, replay
from harness.flood import numbers_of, record

from lb import balancer
from lb.errors import EX_IOERR

NO_FEED = "ws://127.0.0.1:1/stocks"
NEVER_READS = inline("import signal; signal.pause()")
AT_ONCE = {"lb.balancer.SECOND_STOP_AFTER_S": 0.0}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
@pytest.mark.parametrize("tls", [False, True])
def test_in_the_middle_of_a_stream_at_full_speed(authority: Authority, number: signal.Signals, tls: bool) -> None:
    context = authority.server_context("127.0.0.1") if tls else None
    with (
        Feed(tls=context) as feed,
        Lb(feed.url, 3, "--ca-file", authority.ca_file) as lb,
        feed.session() as peer,
        Flood(peer),
    ):
        lb.await_records(2000)
        end = lb.stop(number)
        assert lb.await_line("stopping", signal=number.name)
        assert lb.await_line("worker ended", level="info", exit_code=0)
    assert end.exit_code == 0
    assert end.balance["received"] == end.balance["written"] == lb.recording.total
    assert end.balance["waiting"] == 0
    assert end.balance["per_pipe"] == [len(lb.recording.pipes[pipe]) for pipe in range(3)]
    assert (lb.recording.ended_pipes, lb.recording.cut_off_pipes) == (3, 0), "every worker saw the end of its pipe"
    for pipe in range(3):
        assert numbers_of(lb.recording.pipes[pipe]) == list(range(pipe, end.balance["received"], 3))


@pytest.mark.parametrize("wss", [False, True])
def test_in_the_middle_of_a_replay_at_full_speed_the_balance_is_exact(wss: bool) -> None:
    """Far faster than the workers read: pipes, outboxes and the socket are full."""
    tls = ("--self-signed",) if wss else ()
    with (
        replay("--synthetic", "--speed", "max", *tls) as server,
        Lb(server.url, 4, *server.trust, "--pipe-size", "65536", "--grace", "60") as lb,
    ):
        lb.await_records(5000)
        end = lb.stop()
    assert end.exit_code == 0
    assert end.balance["exact"]
    assert end.balance["waiting"] == 0
    assert end.balance["written"] == lb.recording.total
    assert end.balance["per_pipe"] == [len(lb.recording.pipes[pipe]) for pipe in range(4)]


def test_at_any_moment_of_a_replay_at_full_speed_the_balance_is_exact() -> None:
    with (
        replay("--synthetic", "--speed", "max") as server,
        Lb(server.url, 3, "--pipe-size", "4096", "--grace", "60") as lb,
    ):
        lb.await_line("pipes ready")  # from here on SIGUSR1 is caught
        seen = [lb.balance() for _ in range(50)]
        lb.await_records(1000)
        seen += [lb.balance() for _ in range(50)]
        assert all(line["exact"] and line["received"] == line["written"] + line["waiting"] for line in seen)
        received = [line["received"] for line in seen]
        assert received == sorted(received)
        assert received[-1] > received[0]
        assert any(line["waiting"] for line in seen), "otherwise this test shows little"


def test_a_worker_may_finish_its_work_within_the_grace() -> None:
    worker = inline("""
        import os, select, sys
        while os.read(int(sys.argv[1]), 65536):
            pass
        print("sees the end", flush=True)
        select.select([], [], [], 0.3)
        print("has finished", flush=True)
    """)
    with Feed() as feed, Lb(feed.url, worker=worker) as lb, feed.session():
        lb.await_line("session open")
        assert lb.stop().exit_code == 0
        assert lb.output == b"sees the end\nhas finished\n"
        assert not [line for line in lb.lines if line["message"].startswith("worker killed")]


def test_a_worker_that_does_not_end_is_killed_after_the_grace() -> None:
    worker = inline("""
        import os, signal, sys
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while os.read(int(sys.argv[1]), 65536):
            pass
        print("sees the end", flush=True)
        while True:
            signal.pause()
    """)
    with Feed() as feed, Lb(feed.url, 1, "--grace", "1", worker=worker) as lb, feed.session():
        pid = lb.await_line("worker started")["pid"]
        lb.await_line("session open")
        assert lb.stop().exit_code == EX_IOERR
        assert lb.output == b"sees the end\n"
        assert lb.await_line("worker killed: it did not end in time", slot=0, pid=pid)
        assert lb.await_line("worker ended", signal="SIGKILL")


def test_a_worker_that_never_reads_holds_the_stop_no_longer_than_the_grace() -> None:
    """The balance names what it did not get."""
    with (
        Feed() as feed,
        Lb(feed.url, 2, "--pipe-size", "4096", "--grace", "0.5", worker=NEVER_READS) as lb,
        feed.session() as peer,
    ):
        peer.say(message(record(number) for number in range(1000)))
        while lb.balance()["received"] < 1000:
            pass
        end = lb.stop()
        assert end.exit_code == EX_IOERR
        assert (end.balance["received"], end.balance["exact"]) == (1000, True)
        assert end.balance["waiting"] == 1000 - end.balance["written"] > 0


@pytest.mark.parametrize("numbers", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)])
def test_a_second_signal_leaves_at_once_with_exit_code_1(numbers: tuple[signal.Signals, ...]) -> None:
    with (
        Feed() as feed,
        Lb(feed.url, 1, "--pipe-size", "4096", "--grace", "1000", worker=NEVER_READS, constants=AT_ONCE) as lb,
        feed.session() as peer,
    ):
        peer.say(message(record(number) for number in range(1000)))
        while lb.balance()["received"] < 1000:
            pass
        lb.send_signal(numbers[0])
        lb.await_line("stopping")
        end = lb.stop(numbers[1])
        assert end.exit_code == 1
        assert end.balance["exact"]
        assert end.balance["waiting"] > 0


def test_a_second_signal_also_while_workers_are_waited_for() -> None:
    with (
        Feed() as feed,
        Lb(feed.url, 1, "--grace", "1000", worker=NEVER_READS, constants=AT_ONCE) as lb,
        feed.session(),
    ):
        lb.await_line("session open")
        lb.send_signal(signal.SIGTERM)
        lb.await_line("stopping")
        assert lb.stop().exit_code == 1
        lb.await_line("worker killed: lb was stopped a second time")


@pytest.mark.parametrize("others", [[signal.SIGTERM], [signal.SIGINT, signal.SIGTERM]])
def test_signals_that_come_together_are_one(others: list[signal.Signals]) -> None:
    """`timeout` signals its child and then its group; a service manager may do as much."""
    with Feed() as feed, Lb(feed.url) as lb, feed.session() as peer, Flood(peer):
        lb.await_records(1000)
        lb.send_signal(signal.SIGSTOP)  # so that all have come before the first is looked at
        for number in (signal.SIGTERM, *others):
            lb.send_signal(number)
        lb.send_signal(signal.SIGCONT)
        end = lb.wait()
        assert end.exit_code == 0
        assert end.balance["received"] == lb.recording.total
        assert lb.await_line("worker ended", level="info", exit_code=0)


def test_the_manuals_second_is_a_second() -> None:
    assert balancer.SECOND_STOP_AFTER_S == 1


def test_a_grace_of_any_length_is_taken() -> None:
    with Feed() as feed, Lb(feed.url, 1, "--grace", "1e9") as lb, feed.session():
        lb.await_recorders(1)
        assert lb.stop().exit_code == 0


@contextmanager
def waiting_for_the_next_session() -> Iterator[Lb]:
    with Lb(NO_FEED) as lb:
        lb.await_recorders(1)
        lb.await_line("next session")
        yield lb


@contextmanager
def opening_a_session() -> Iterator[Lb]:
    """The feed has taken the connection and says nothing."""
    with Feed() as feed, Lb(feed.url) as lb, feed.connection() as peer:
        lb.await_recorders(1)
        peer.read_request()
        yield lb


@contextmanager
def evicted() -> Iterator[Lb]:
    with Feed() as feed, Lb(feed.url, constants=SOON) as lb, feed.session() as peer:
        lb.await_recorders(1)
        peer.say(message([b'{"ev":"status","status":"max_connections","message":""}']))
        lb.await_line("this key is used elsewhere, the feed ends the session: max_connections: ")
        yield lb


@contextmanager
def restarting_a_worker() -> Iterator[Lb]:
    with Lb(NO_FEED, worker=inline("raise SystemExit(1)")) as lb:
        lb.await_line("worker is restarted later")
        yield lb


@pytest.mark.parametrize("state", [waiting_for_the_next_session, opening_a_session, evicted, restarting_a_worker])
def test_in_every_state(state: Callable[[], AbstractContextManager[Lb]]) -> None:
    with state() as lb:
        end = lb.stop()
        assert end.exit_code == 0
        assert end.balance["exact"]


def test_a_fault_in_what_is_still_to_be_dealt_opens_no_new_session() -> None:
    """The stop comes while a full pipe keeps a faulty frame from being looked at."""
    constants = SOON | {"lb.balancer.WAITING_BYTES": 1 << 16}
    with Feed() as feed, Lb(feed.url, 1, "--pipe-size", "4096", constants=constants) as lb, feed.session() as peer:
        (worker,) = lb.await_recorders(1)
        os.kill(worker, signal.SIGSTOP)
        lb.send_signal(signal.SIGSTOP)
        with Flood(peer, limit=600) as flood:
            flood.wait()
        peer.send(b"\xff" * 100)
        peer.await_arrival()  # less than 128 KiB in all: more an ordinary user's socket does not take in unread
        lb.send_signal(signal.SIGCONT)  # one recv takes it all
        while lb.balance()["waiting"] < 300:
            pass
        lb.send_signal(signal.SIGTERM)
        lb.await_line("stopping")
        os.kill(worker, signal.SIGCONT)
        assert lb.wait().exit_code == 0
        assert not feed.has_caller()
        assert numbers_of(lb.recording.pipes[0]) == list(range(600))
        assert sum(line["message"] == "session open" for line in lb.lines) == 1, lb.log
