"""The supervisor's table, and what stop, terminate, kill and leave do to real workers."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import inline
from harness.supervising import Supervising
from hypothesis import given
from hypothesis import strategies as st

from lb.config import OnStuck
from lb.errors import Unavailable
from lb.slots import supervisor, watch
from lb.slots.oom import OomKills
from lb.slots.slot import NEVER_NS, Event, Slot, State
from lb.slots.supervisor import ACTIONS

READS = inline("""
    import os, sys
    while os.read(int(sys.argv[1]), 65536):
        pass
""")


@contextmanager
def watched(pid: int) -> Iterator[int]:
    fd = os.pidfd_open(pid)
    yield fd
    os.close(fd)


def ends(pidfd: int) -> bool:
    return bool(select.select([pidfd], [], [], 10)[0])


def test_the_table_in_the_first_lines_is_the_one_that_is_obeyed() -> None:
    rows = re.findall(r"^    ([A-Z]+) +([A-Z]+) +(\S.*\S) +([A-Z]+)$", supervisor.__doc__ or "", re.MULTILINE)
    told = {(State[state], Event[event]): State[after] for state, event, _, after in rows}
    assert told == {key: after for key, (_, after) in ACTIONS.items()}


def test_from_every_state_a_way_leads_to_every_other() -> None:
    reached = {state: {state} for state in State}
    for _ in State:
        for (before, _), (_, after) in ACTIONS.items():
            for state in State:
                if before in reached[state]:
                    reached[state].add(after)
    assert all(states == set(State) for states in reached.values())


def make_stuck(test: Supervising, slot: Slot) -> None:
    os.kill(slot.pid, signal.SIGSTOP)
    while ") T " not in Path(f"/proc/{slot.pid}/stat").read_text():  # it may be in the middle of a read
        pass
    test.write(0, b"x")
    test.until(lambda: slot.state is State.STUCK)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Whoever opens the file, to run it too, waits: for at least as long as the kernel waits for us to break our lease
    of it (fcntl(2))."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        yield
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)  # who waits has a copy of fd until its exec
    finally:
        os.close(fd)
        signal.signal(signal.SIGIO, before)


def test_every_row_of_it_is_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker runs, is stopped, goes on and dies; its program loses its interpreter, then is gone, then is there
    again, and the worker dies while it is stopped, and the next one before it runs its program."""
    script = tmp_path / "worker"

    def put(interpreter: str) -> None:
        script.write_text(f'#!{interpreter}\nexec cat "/dev/fd/$1" >/dev/null\n')
        script.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    put("/bin/sh")

    monkeypatch.setattr(watch, "FIRST_READ_S", 0.0)
    monkeypatch.setattr(supervisor, "STABLE_S", 0.0)
    with Supervising(["worker"], stuck_after_s=0.05) as test:
        (slot,) = test.slots
        test.start()
        make_stuck(test, slot)
        os.kill(slot.pid, signal.SIGCONT)
        test.until(lambda: slot.state is State.RUNNING)
        put("/no/such/interpreter")
        os.kill(slot.pid, signal.SIGKILL)
        test.until(lambda: test.told("worker can't be started"))
        script.unlink()
        test.until(lambda: len(test.told("worker can't be started")) == 2)
        put("/bin/sh")
        test.until(lambda: len(test.told("worker started")) == 2)
        faults = [line["error"] for line in test.told("worker can't be started")]
        assert faults[0] == "running: No such file or directory"
        assert faults[-1] == "no such program in PATH"
        assert slot.state is State.RUNNING
        assert test.supervisor.restarts_total == 1
        # Until then its shell has the script open, and no lease of it is given.
        test.until(lambda: Path(f"/proc/{slot.pid}/comm").read_text() == "cat\n")
        make_stuck(test, slot)
        with held(script):
            os.kill(slot.pid, signal.SIGKILL)
            test.until(lambda: slot.state is State.STARTING)
            os.kill(slot.pid, signal.SIGKILL)
            ended = len(test.told("worker ended"))
            test.until(lambda: len(test.told("worker ended")) == ended + 1)
        test.until(lambda: len(test.told("worker started")) == 3)
    assert slot.state is State.EMPTY
    assert {(before, event) for before, event, _ in test.walked} == ACTIONS.keys()


def test_the_first_start_of_a_worker_that_can_not_run_is_an_error() -> None:
    with Supervising(["/etc/passwd"]) as test:
        test.supervisor.start()
        with pytest.raises(Unavailable, match=r"^worker can't be started: running: Permission denied: '/etc/passwd'$"):
            test.until(lambda: False)
        assert not test.supervisor.has_run
    with Supervising(["no-such-program"]) as test, pytest.raises(Unavailable, match="no such program in PATH"):
        test.supervisor.start()


HAS_A_CHILD = inline("""
    import os, signal
    if os.fork():
        signal.pause()
    os.write(1, b"%d" % os.getpid())
    signal.pause()
""")


def test_terminate_asks_all_of_a_worker_to_end_even_if_it_is_stopped(capfd: pytest.CaptureFixture[str]) -> None:
    with Supervising(HAS_A_CHILD) as test:
        (leader,) = test.start()
        while not (told := capfd.readouterr().out):
            pass
        with watched(int(told)) as child:
            os.kill(leader, signal.SIGSTOP)
            os.kill(int(told), signal.SIGSTOP)
            test.supervisor.stop()
            test.supervisor.terminate()
            test.until(lambda: not test.supervisor.running)
            assert ends(child)
        (line,) = test.told("worker ended")
        assert (line["signal"], line["level"], line["why"]) == ("SIGTERM", "error", "sent by lb")


@pytest.mark.parametrize(("code", "failures"), [("0", 0), ("3", 1), ("os.abort()", 1)])
def test_who_fails_during_the_stop_is_counted(code: str, failures: int) -> None:
    worker = inline(f"""
        import os, resource, sys
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.read(int(sys.argv[1]), 1)
        os._exit({code})
    """)
    with Supervising(worker, 2, per_pipe=True) as test:
        pids = test.start()
        test.write(1, b"x")
        test.until(lambda: len(test.told("worker started")) == 3)
        assert test.supervisor.failures_total == 0, "the one that ended before the stop is none of it"
        test.supervisor.stop()
        test.pipes.close_write_end(0)
        test.until(lambda: test.supervisor.running == 1)
        assert test.supervisor.failures_total == failures
        assert test.told("worker ended")[-1]["pid"] == pids[0]


def test_after_stop_who_does_not_read_is_told_and_not_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """There would be no other."""
    monkeypatch.setattr(watch, "FIRST_READ_S", 0.0)
    with Supervising(READS, stuck_after_s=0.05, on_stuck=OnStuck.RESTART) as test:
        test.start()
        test.supervisor.stop()
        make_stuck(test, test.slots[0])
        assert not [line for line in test.lines if line["message"].startswith("worker killed")]


def test_after_stop_nothing_is_started_again() -> None:
    """Neither who ends then, nor who waits for his restart."""
    with Supervising(inline("raise SystemExit(1)"), 2, per_pipe=True) as test:
        test.start()
        test.until(lambda: len(test.told("worker is restarted later")) >= 2)
        test.supervisor.stop()
        assert test.supervisor.deadline_ns == NEVER_NS
        test.until(lambda: not test.supervisor.running)
        started = len(test.told("worker started"))
        test.supervisor.tend(NEVER_NS - 1)
        assert not test.supervisor.running
        assert len(test.told("worker started")) == started


def test_after_stop_who_was_never_started_is_where_something_waits_for_him(monkeypatch: pytest.MonkeyPatch) -> None:
    """lb was stopped while thousands of workers were being started."""
    monkeypatch.setattr(supervisor, "MOST_FORKS", 1)
    with Supervising(READS, 4, per_pipe=True) as test:
        test.supervisor.start()
        test.write(1, b"x")
        test.write(3, b"x")
        test.supervisor.stop()
        test.pipes.close_write_ends()
        assert test.supervisor.running == 3
        test.until(lambda: not test.supervisor.running)
        assert {line["slot"] for line in test.told("worker started")} == {0, 1, 3}
        assert test.pipes.backlog_bytes() == [0, 0, 0, 0]
        assert test.supervisor.failures_total == 0


def test_kill_tells_why_and_waits_for_nobody() -> None:
    with Supervising(HAS_A_CHILD) as test:
        (leader,) = test.start()
        test.supervisor.stop()
        test.supervisor.kill("a reason of mine")
        assert test.told("worker ended") == []
        assert [(line["level"], line["pid"]) for line in test.told("worker killed: a reason of mine")] == [
            ("warning", leader)
        ]
        test.until(lambda: not test.supervisor.running)
        assert test.told("worker ended")[0].items() >= {"signal": "SIGKILL", "why": "sent by lb"}.items()
        assert test.supervisor.failures_total == 1


def test_a_kill_is_told_with_what_the_kernel_has_counted_since_the_worker_s_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proc").mkdir()
    counts = tmp_path / "proc" / "vmstat"
    counts.write_text("oom_kill 7\n")
    monkeypatch.setattr(supervisor, "OomKills", lambda: OomKills(tmp_path))
    with Supervising(READS) as test:
        for kills in (8, 8):
            test.until(lambda: test.slots[0].state is State.RUNNING) if test.walked else test.start()
            counts.write_text(f"oom_kill {kills}\n")
            os.kill(test.slots[0].pid, signal.SIGKILL)
            ends = len(test.told("worker ended"))
            test.until(lambda ends=ends: len(test.told("worker ended")) > ends)
        assert [line["why"].partition(":")[0] for line in test.told("worker ended")] == [
            "killed, most likely for want of memory",
            "killed by a person or a service manager",
        ]


def test_the_end_of_a_pipe_is_seen_by_its_worker_alone() -> None:
    with Supervising(READS, 3, per_pipe=True) as test:
        pids = test.start()
        test.supervisor.stop()
        test.pipes.close_write_end(1)
        test.pipes.close_write_end(1)
        test.until(lambda: test.supervisor.running == 2)
        assert [line["pid"] for line in test.told("worker ended")] == [pids[1]]
        test.pipes.close_write_ends()
        test.until(lambda: not test.supervisor.running)
        assert test.supervisor.failures_total == 0


READS_ONCE = inline("""
    import os, signal, socket, sys
    os.read(int(sys.argv[1]), 1)
    socket.socket(fileno=int(os.environ["LB_CHANNEL"])).send(b"READY")
    signal.pause()
""")


def successors_that_had_to_wait(test: Supervising, deaths: int, *, given_something: bool) -> int:
    """Of so many workers that die one after the other."""
    test.start()
    (slot,) = test.slots
    for number in range(1, deaths + 1):
        if given_something:
            test.write(0, b"x")
            test.until(lambda number=number: slot.ready_total == number)
        dead = slot.pid
        os.kill(dead, signal.SIGKILL)
        test.until(lambda dead=dead: slot.state is State.RUNNING and slot.pid != dead)
    return len(test.told("worker is restarted later"))


def test_who_has_read_something_is_no_crash_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pipe would fill up while a worker that could be started waits."""
    monkeypatch.setattr(supervisor, "BRIEF_S", 0.0)
    with Supervising(READS_ONCE) as test:
        assert successors_that_had_to_wait(test, 4, given_something=True) == 0


def test_but_who_dies_again_and_again_within_a_second_is() -> None:
    """A record that no worker survives."""
    with Supervising(READS_ONCE) as test:
        assert successors_that_had_to_wait(test, 2, given_something=True) == 1


def test_and_so_is_who_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "BRIEF_S", 0.0)
    with Supervising(READS_ONCE) as test:
        assert successors_that_had_to_wait(test, 2, given_something=False) == 1


def test_brief_is_a_second() -> None:
    assert supervisor.BRIEF_S == 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10**6)), max_size=30), st.integers(0, 10**6))
def test_the_deadline_is_that_of_the_earliest_restart(restarts: list[tuple[int, int]], stop: int) -> None:
    with Supervising(READS, 4, per_pipe=True) as test:
        for number, restart_ns in restarts:
            test.supervisor._due.add(test.slots[number], restart_ns)
            assert test.supervisor.deadline_ns == min(slot.restart_ns for slot in test.slots)
        test.supervisor.stop()
        assert test.supervisor.deadline_ns == NEVER_NS
