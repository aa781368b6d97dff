"""A program on a disk that does not answer: exec() waits, and lb must not wait with it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from harness import Feed, Lb, message
from harness.flood import record
from harness.preload import preload

NO_FEED = "ws://127.0.0.1:1/stocks"

# Who runs a program waits for the file named by GATE. Where FIRST names a folder to make, who makes it does not wait.
GATED_EXEC = r"""
int execve(const char *path, char *const argv[], char *const envp[])
{
    const char *gate = getenv("GATE"), *first = getenv("FIRST");
    if (first && mkdir(first, 0700) == 0)
        gate = NULL;
    while (gate && access(gate, F_OK) < 0)
        usleep(1000);
    int (*const next)(const char *, char *const[], char *const[]) = (int (*)())dlsym(RTLD_NEXT, "execve");
    return next(path, argv, envp);
}
"""


def children(pid: int) -> list[int]:
    return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def test_all_workers_are_started_side_by_side_and_signals_are_obeyed_meanwhile(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    environment = preload(tmp_path, GATED_EXEC) | {"GATE": str(gate)}
    with Lb(NO_FEED, 5, "--spawn", "per-pipe", environment=environment) as lb:
        lb.await_line("pipes ready")
        while len(children(lb.pid)) < 5:
            pass
        assert lb.balance()["exact"]
        assert not [line for line in lb.lines if line["message"] == "worker started"]
        gate.touch()
        for _ in range(5):
            lb.await_line("worker started")
        assert lb.stop().exit_code == 0


def test_a_session_begins_as_soon_as_one_worker_runs(tmp_path: Path) -> None:
    """Then the program is known to be one. What comes for the others waits in their pipes."""
    gate = tmp_path / "gate"
    environment = preload(tmp_path, GATED_EXEC) | {"GATE": str(gate), "FIRST": str(tmp_path / "first")}
    records = [record(number) for number in range(300)]
    with (
        Feed() as feed,
        Lb(feed.url, 3, "--spawn", "per-pipe", environment=environment) as lb,
        feed.session() as peer,
    ):
        lb.await_line("worker started")
        peer.say(message(records))
        while lb.balance()["received"] < 300:
            pass
        assert sum(line["message"] == "worker started" for line in lb.lines) == 1
        gate.touch()
        assert sorted(lb.await_records(300).pipes[0]) == sorted(records)
        assert lb.stop().exit_code == 0


def test_a_stop_is_obeyed_while_the_first_workers_are_being_started(tmp_path: Path) -> None:
    environment = preload(tmp_path, GATED_EXEC) | {"GATE": str(tmp_path / "never")}
    with Lb(NO_FEED, 2, "--spawn", "per-pipe", "--grace", "0.1", environment=environment) as lb:
        lb.await_line("pipes ready")
        while len(children(lb.pid)) < 2:
            pass
        lb.stop()
        assert {lb.await_line("worker ended", signal="SIGTERM")["slot"] for _ in range(2)} == {0, 1}


def test_the_feed_is_read_while_a_worker_is_started_again(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    environment = preload(tmp_path, GATED_EXEC) | {"GATE": str(gate)}
    with (
        Feed() as feed,
        Lb(feed.url, 2, "--spawn", "per-pipe", environment=environment) as lb,
        feed.session() as peer,
    ):
        lb.await_recorders(2)
        victim = lb.await_line("worker started", slot=1)["pid"]
        gate.unlink()
        os.kill(victim, signal.SIGKILL)
        lb.await_line("worker ended", slot=1)
        peer.say(message(record(number) for number in range(200)))
        assert lb.await_records(100).pipes == {0: [record(number) for number in range(0, 200, 2)]}
        assert lb.balance()["received"] == 200
        gate.touch()
        assert len(lb.await_records(200).pids) == 3
        assert lb.stop().exit_code == 0


def test_one_that_is_killed_before_it_runs_its_program_was_never_started(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    environment = preload(tmp_path, GATED_EXEC) | {"GATE": str(gate)}
    with Feed() as feed, Lb(feed.url, 1, environment=environment) as lb:
        lb.await_line("pipes ready")
        while not (started := children(lb.pid)):
            pass
        os.kill(started[0], signal.SIGKILL)
        end = lb.await_line("worker ended", signal="SIGKILL")
        assert end["pid"] == started[0]
        assert not [line for line in lb.lines if line["message"] == "worker started"]
        gate.touch()
        assert lb.await_line("worker started")["pid"] != started[0]
        with feed.session() as peer:
            peer.say(message([record(0)]))
            lb.await_records(1)
        assert lb.stop().exit_code == 0
