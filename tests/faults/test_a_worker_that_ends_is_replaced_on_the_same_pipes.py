"""A worker ends, by itself or by a signal: noticed, told, replaced; the pipes and the session stay."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from harness import Feed, Lb, inline, message
from harness.flood import record
from need import need_plain_build

from lb.errors import EX_IOERR
from lb.slots.ending import EXIT_CODES, SIGNALS

NO_FEED = "ws://127.0.0.1:1/stocks"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT, signal.SIGHUP])
def test_its_signal_is_told_and_the_next_one_reads_on(number: signal.Signals) -> None:
    if number == signal.SIGSEGV:
        need_plain_build("they catch it")
    with Feed() as feed, Lb(feed.url, 2) as lb, feed.session() as peer:
        (first,) = lb.await_recorders(1)
        peer.say(message([record(0), record(1), record(2)]))
        lb.await_records(3)
        os.kill(first, number)
        line = lb.await_line("worker ended", level="error", slot=0, pid=first)
        assert line["signal"] == number.name
        assert line["why"].startswith(SIGNALS.get(number, "killed"))
        assert "exit_code" not in line
        peer.say(message([record(3), record(4)]))
        recording = lb.await_records(5)
        second = recording.pids[1]
        assert recording.by_pid[second] == {1: [record(3)], 0: [record(4)]}
        end = lb.stop()
        assert (end.exit_code, end.balance["received"], end.balance["exact"]) == (0, 5, True)
        assert (end.statistics["restarts"], end.statistics["reconnects"]) == (1, 0)


def test_a_real_time_signal_which_has_no_name_is_told_by_its_number() -> None:
    with Lb(NO_FEED, worker=["/bin/sh", "-c", "kill -35 $$"]) as lb:
        for _ in range(2):
            assert lb.await_line("worker ended", level="error", slot=0)["signal"] == 35
        assert lb.stop().exit_code == 0


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_its_exit_code_is_told_also_when_it_is_0(code: int) -> None:
    worker = inline(f"import os, sys; os.read(int(sys.argv[1]), 1); os._exit({code})")
    with Feed() as feed, Lb(feed.url, worker=worker) as lb, feed.session() as peer:
        peer.say(message([record(0)]))
        line = lb.await_line("worker ended", level="error", slot=0)
        assert line["exit_code"] == code
        assert line["why"] == EXIT_CODES.get(code)
        assert "signal" not in line
        lb.await_line("worker started", slot=0)


def test_what_it_had_read_and_perhaps_not_finished_is_told() -> None:
    """Of the second worker, nothing that the first one had read; of who has read nothing, nothing."""
    sizes = [4 + len(record(number)) for number in range(5)]
    with Feed() as feed, Lb(feed.url, 2) as lb, feed.session() as peer:
        for worker, (begin, end) in enumerate([(0, 3), (3, 5), (5, 5)]):
            pid = lb.await_recorders(worker + 1)[-1]
            if end > begin:
                peer.say(message(map(record, range(begin, end))))
            lb.await_records(end)
            os.kill(pid, signal.SIGKILL)
            lb.await_line("worker ended", pid=pid)
            if end > begin:
                told = lb.await_line("records that the worker had not finished", level="warning", slot=0, pid=pid)
                assert told["records"] == f"unknown, at most {sum(sizes[begin:end])} bytes"
        lb.await_recorders(4)
        assert lb.stop().exit_code == 0
        assert sum(line["message"] == "records that the worker had not finished" for line in lb.lines) == 2


def test_only_its_own_slot_is_touched() -> None:
    with Feed() as feed, Lb(feed.url, 3, "--spawn", "per-pipe") as lb, feed.session() as peer:
        lb.await_recorders(3)
        started = {line["slot"]: line["pid"] for line in (lb.await_line("worker started") for _ in range(3))}
        pids = [started[slot] for slot in range(3)]
        os.kill(pids[1], signal.SIGKILL)
        assert lb.await_line("worker ended")["slot"] == 1
        replacement = lb.await_line("worker started")
        assert replacement["slot"] == 1
        peer.say(message(record(number) for number in range(6)))
        by_pid = lb.await_records(6).by_pid
        assert by_pid[pids[0]] == {0: [record(0), record(3)]}
        assert by_pid[replacement["pid"]] == {0: [record(1), record(4)]}
        assert by_pid[pids[2]] == {0: [record(2), record(5)]}
        assert lb.stop().statistics["restarts"] == 1


def test_records_wait_in_the_pipe_while_there_is_no_worker() -> None:
    """The first worker ends at once; what came for it is read by the one that comes after the back-off."""
    with Feed() as feed, Lb(feed.url) as lb, feed.session() as peer:
        for number in range(3):  # the third comes back only after the back-off
            os.kill(lb.await_recorders(number + 1)[-1], signal.SIGKILL)
            lb.await_line("worker ended")
        assert lb.await_line("worker is restarted later")["delay_s"] >= 0.25
        peer.say(message(record(number) for number in range(100)))
        assert lb.await_records(100).pipes == {0: [record(number) for number in range(100)]}


def test_the_first_restart_is_at_once_and_a_crash_loop_backs_off() -> None:
    with Lb(NO_FEED, worker=inline("raise SystemExit(1)")) as lb:
        pids = [lb.await_line("worker started")["pid"] for _ in range(4)]
        assert len(set(pids)) == 4
        later = [line for line in lb.lines if line["message"] == "worker is restarted later"]
        assert len(later) >= 2, "between the first two there is none"
        assert all(line["delay_s"] >= 0.25 for line in later)
        assert lb.stop().exit_code in (0, EX_IOERR), "also between two restarts"


def test_one_that_has_read_something_is_replaced_at_once_however_often_it_is_killed() -> None:
    """Its pipe would fill up meanwhile."""
    kills = 5
    with Feed() as feed, Lb(feed.url, constants={"lb.slots.supervisor.BRIEF_S": 0.0}) as lb, feed.session() as peer:
        for number in range(kills):
            pid = lb.await_recorders(number + 1)[-1]
            peer.say(message([record(number)]))
            lb.await_records(number + 1)
            os.kill(pid, signal.SIGKILL)
        lb.await_recorders(kills + 1)
        assert lb.stop().statistics["restarts"] == kills
        assert not [line for line in lb.lines if line["message"] == "worker is restarted later"]


def test_a_worker_that_can_not_be_started_again_is_told_and_tried_again(tmp_path: Path) -> None:
    script = tmp_path / "worker"
    script.write_text("#!/bin/sh\necho on\ncat <&$1 >/dev/null\n")
    script.chmod(0o755)
    with Feed() as feed, Lb(feed.url, directory=tmp_path, worker=["./worker"]) as lb, feed.session():
        lb.await_output(b"on\n")
        script.rename(tmp_path / "away")
        os.kill(lb.await_line("worker started")["pid"], signal.SIGKILL)
        line = lb.await_line("worker can't be started", level="error")
        assert line["error"] == "running: No such file or directory"
        assert line["path"] == "./worker"
        (tmp_path / "away").rename(script)
        lb.await_line("worker started")
        lb.await_output(b"on\non\n")
        assert lb.stop().exit_code == 0


def test_a_burst_of_deaths_loses_none() -> None:
    """Signals of the same number merge; every dead worker is noticed all the same."""
    with Lb(NO_FEED, 20, "--spawn", "per-pipe") as lb:
        pids = lb.await_recorders(20)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        ended = {lb.await_line("worker ended")["pid"] for _ in pids}
        assert ended == set(pids)
        assert len(lb.await_recorders(40)) == 40
        assert lb.stop().statistics["restarts"] == 20
