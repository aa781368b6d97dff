"""--on-full spill=DIR: a worker that stands still stops nobody and loses nothing, over stops and crashes of lb, too."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from harness import Feed, Lb, message
from harness.feed import Peer
from harness.flood import numbers_of, record
from harness.lb_process import End, hold, run_lb

RECORDS = 10_000
BATCH = 500
SOON = {
    "lb.reporter.LOOK_AHEAD_S": 0.05,
    "lb.episodes.CALM_S": 0.2,
    "lb.slots.spill.LEAST_SEGMENT_BYTES": 1 << 16,
    "lb.slots.spill.LARGEST_SEGMENT_BYTES": 1 << 16,
}


def spilling(feed: Feed, folder: Path | str, pipes: int = 2, *options: str, **lb: Any) -> Lb:
    options = ("--pipe-size", "4096", "--on-full", f"spill={folder}", "--backlog", "65536", *options)
    return Lb(feed.url, pipes, "--spawn", "per-pipe", *options, constants=SOON, **lb)


def say_all(lb: Lb, peer: Peer, numbers: Sequence[int] = range(RECORDS)) -> None:
    """Batch by batch, as fast as the workers that run take their half."""
    for begin in range(0, len(numbers), BATCH):
        total = lb.recording.total
        peer.say(message(map(record, numbers[begin : begin + BATCH])))
        lb.await_records(total + BATCH // 2)


def spilled_of_a_stopped_worker(lb: Lb, peer: Peer) -> list[int]:
    pids = lb.await_workers(2)
    hold(pids[1])
    say_all(lb, peer)
    lb.await_line("a pipe is full: records for it go to the disk", level="warning", pipe=1, slot=1, pid=pids[1])
    balance = lb.balance()
    assert (balance["received"], balance["dropped"], balance["exact"]) == (RECORDS, 0, True)
    assert balance["spilled_per_pipe"] == [0, balance["spilled"]]
    assert balance["spilled"] > RECORDS // 4
    return pids


def stop_and_let_go_on(lb: Lb, pid: int) -> End:
    """The stopped worker finds the end of its pipe, and no more than what was in it."""
    lb.send_signal(signal.SIGTERM)
    lb.await_line("stopping")
    os.kill(pid, signal.SIGCONT)
    return lb.wait()


def numbers_in(lb: Lb, pid: int) -> list[int]:
    return numbers_of(lb.recording.by_pid[pid][0])


def test_the_others_go_on_and_it_gets_all_when_it_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "here"
    with Feed() as feed, spilling(feed, folder) as lb, feed.session() as peer:
        pids = spilled_of_a_stopped_worker(lb, peer)
        assert folder.stat().st_mode & 0o777 == 0o700
        os.kill(pids[1], signal.SIGCONT)
        lb.await_records(RECORDS)
        assert lb.await_line("what was spilled is read back", pipe=1)["spilled"] > RECORDS // 4
        assert not any(folder.iterdir())
        end = lb.stop()
        assert (end.exit_code, end.statistics["full"]) == (0, 0)
        assert [numbers_in(lb, pid) for pid in pids] == [list(range(pipe, RECORDS, 2)) for pipe in range(2)]
        assert (end.balance["written"], end.balance["unread"], end.balance["exact"]) == (RECORDS, 0, True)


def test_a_stop_keeps_it_for_the_next_start(tmp_path: Path) -> None:
    with Feed() as feed, spilling(feed, tmp_path) as lb, feed.session() as peer:
        pids = spilled_of_a_stopped_worker(lb, peer)
        end = stop_and_let_go_on(lb, pids[1])
        assert end.exit_code == 0
        assert lb.await_line("spilled records stay on disk for the next start")["records"] == end.balance["spilled"]
        assert (end.balance["waiting"], end.balance["unread"], end.balance["exact"]) == (0, 0, True)
        before = numbers_in(lb, pids[1])
        assert len(before) + end.balance["spilled"] == RECORDS // 2
    with Feed() as feed, spilling(feed, tmp_path) as lb, feed.session() as peer:
        pids = lb.await_workers(2)
        assert lb.await_records(RECORDS // 2 - len(before))
        peer.say(message([record(RECORDS), record(RECORDS + 1)]))
        lb.await_records(RECORDS // 2 - len(before) + 2)
        end = lb.stop()
        assert before + numbers_in(lb, pids[1]) == [*range(1, RECORDS, 2), RECORDS + 1]
        assert (end.balance["received"], end.balance["recovered"]) == (2, RECORDS // 2 - len(before))
        assert (end.balance["spilled"], end.balance["exact"]) == (0, True)
        assert not any(tmp_path.iterdir())


def test_what_a_killed_lb_has_spilled_is_delivered_by_the_next(tmp_path: Path) -> None:
    """Only what stood in its memory is lost, behind what was spilled; a little may come twice."""
    with Feed() as feed, spilling(feed, tmp_path) as lb, feed.session() as peer:
        pids = spilled_of_a_stopped_worker(lb, peer)
        balance = lb.balance()
        written, spilled = balance["per_pipe"][1], balance["spilled"]
        lb.send_signal(signal.SIGKILL)
        os.kill(pids[1], signal.SIGCONT)  # where process 1 is of this session, the kernel does not
        lb.wait()
    with Feed() as feed, spilling(feed, tmp_path) as lb, feed.session():
        pids = lb.await_workers(2)
        found = lb.await_line("spilled records are delivered first")["records"]
        lb.await_records(spilled)
        end = lb.stop()
        after = numbers_in(lb, pids[1])
        assert found == end.balance["recovered"] == len(after) >= spilled
        assert after == list(range(after[0], after[-1] + 1, 2))
        assert after[0] <= 1 + 2 * written
        assert after[-1] >= 1 + 2 * (written + spilled - 1)


def test_records_of_a_pipe_that_there_is_no_more_are_delivered_by_another(tmp_path: Path) -> None:
    with Feed() as feed, spilling(feed, tmp_path) as lb, feed.session() as peer:
        pids = spilled_of_a_stopped_worker(lb, peer)
        end = stop_and_let_go_on(lb, pids[1])
        before = len(numbers_in(lb, pids[1]))
    with Feed() as feed, spilling(feed, tmp_path, 1) as lb, feed.session():
        pids = lb.await_workers(1)
        lb.await_records(end.balance["spilled"])
        assert numbers_in(lb, pids[0]) == list(range(1, RECORDS, 2))[before:]
        assert lb.stop().exit_code == 0


def test_a_folder_that_another_lb_uses_is_refused(tmp_path: Path) -> None:
    with Feed() as feed, spilling(feed, tmp_path) as lb, feed.session():
        lb.await_workers(2)
        done = run_lb("--on-full", f"spill={tmp_path}", "k", feed.url, "1", ".", "true")
        assert done.returncode == 69
        assert done.stderr == f"lb: spill={tmp_path}: another lb uses this folder\n"
        assert lb.stop().exit_code == 0


def test_a_folder_that_can_not_be_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run_lb("--on-full", f"spill={tmp_path}/file/x", "k", "ws://127.0.0.1:1/", "1", ".", "true")
    assert (done.returncode, done.stderr) == (69, f"lb: spill={tmp_path}/file/x: Not a directory\n")


def mounting(folder: Path, options: str) -> tuple[str, ...]:
    """The command before one that sees a file system of its own there."""
    if os.geteuid() != 0:
        pytest.skip("a file system is mounted by root alone")
    script = f'mount -t tmpfs -o {options} tmpfs {folder} && exec "$@"'
    return ("unshare", "--mount", "sh", "-c", script, "sh")


def test_a_folder_that_can_not_be_written_to_is_told_at_the_start(tmp_path: Path) -> None:
    with Lb("ws://127.0.0.1:1/", 1, "--on-full", f"spill={tmp_path}", before=mounting(tmp_path, "ro")) as lb:
        lb.await_line(f"spill={tmp_path}: Read-only file system", level="error")
        assert lb.wait().exit_code == 69


def test_a_file_system_that_becomes_read_only_stops_the_reading_until_it_is_not(tmp_path: Path) -> None:
    def remount(option: str) -> None:
        subprocess.run(
            ["nsenter", "-m", "-r", "-t", str(lb.pid), "mount", "-o", f"remount,{option}", tmp_path], check=True
        )

    with (
        Feed() as feed,
        spilling(feed, tmp_path, 2, before=mounting(tmp_path, "size=4m")) as lb,
        feed.session() as peer,
    ):
        pids = lb.await_workers(2)
        remount("ro")
        hold(pids[1])
        for begin in range(0, RECORDS, BATCH):
            peer.say(message(map(record, range(begin, begin + BATCH))))
        line = lb.await_line("records can't be spilled: a full pipe stops the reading", level="error")
        assert line["why"] == "Read-only file system"
        assert lb.balance()["exact"]
        remount("rw")
        while lb.balance()["received"] < RECORDS:
            pass
        assert lb.balance()["spilled"] > 0
        os.kill(pids[1], signal.SIGCONT)
        lb.await_records(RECORDS)
        assert lb.stop().exit_code == 0
        assert [numbers_in(lb, pid) for pid in pids] == [list(range(pipe, RECORDS, 2)) for pipe in range(2)]


def test_a_full_disk_stops_the_reading_until_there_is_room(tmp_path: Path) -> None:
    before = mounting(tmp_path, "size=200k")
    with Feed() as feed, spilling(feed, tmp_path, 2, before=before) as lb, feed.session() as peer:
        pids = lb.await_workers(2)
        hold(pids[1])
        for begin in range(0, RECORDS, BATCH):
            peer.say(message(map(record, range(begin, begin + BATCH))))
        line = lb.await_line("records can't be spilled: a full pipe stops the reading", level="error")
        assert line["why"] == "No space left on device"
        balance = lb.balance()
        assert balance["received"] < RECORDS
        assert balance["exact"]
        os.kill(pids[1], signal.SIGCONT)
        lb.await_records(RECORDS)
        lb.await_line("spilling goes on")
        hold(pids[1])
        say_all(lb, peer, range(RECORDS, RECORDS + 2 * BATCH))
        assert lb.balance()["spilled"] > 0
        os.kill(pids[1], signal.SIGCONT)
        lb.await_records(RECORDS + 2 * BATCH)
        assert lb.stop().exit_code == 0
        assert [numbers_in(lb, pid) for pid in pids] == [list(range(pipe, RECORDS + 2 * BATCH, 2)) for pipe in range(2)]
