"""One forked process per pipe: what they share, and that none is left behind."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from feeding import framed, run_worker, start_worker

from trade_balancer import ChildError
from trade_balancer.processes import fork_per_pipe

# Each process says its pid for every record, on the fd that is its first argument. That fd is open in every process of
# the worker, and so its other end reaches EOF when the last of them is gone.
SAYS_ITS_PID = """
import os, sys, trade_balancer
say_fd = int(sys.argv[1])
def on_record(record: bytes, fd: int) -> None:
    os.write(say_fd, b"%d\\n" % os.getpid())
    if record == b"raise":
        raise ValueError("no such record")
    if record == b"kill":
        os.kill(os.getpid(), 9)
    if record == b"exit":
        sys.exit(0)
trade_balancer.run(on_record, trade_balancer.fds_of_command_line(sys.argv)[1:], raw=True, processes=True)
print("the worker goes on after the pipes' end")
"""


@pytest.fixture
def says_its_pid(tmp_path: Path) -> Path:
    path = tmp_path / "worker.py"
    path.write_text(SAYS_ITS_PID)
    return path


@contextmanager
def open_pipes(number: int) -> Iterator[list[tuple[int, int]]]:
    pairs = [os.pipe() for _ in range(number)]
    try:
        yield pairs
    finally:
        for pair in pairs:
            for fd in pair:
                os.close(fd)


def until_eof(fd: int) -> bytes:
    data = b""
    while more := os.read(fd, 4096):
        data += more
    return data


def lines(fd: int, number: int) -> list[bytes]:
    data = b""
    while data.count(b"\n") < number:
        more = os.read(fd, 4096)
        assert more, f"all processes ended after {data!r}"
        data += more
    return data.split()


def test_each_pipe_has_a_process_of_its_own_and_run_returns_after_the_last(says_its_pid: Path) -> None:
    heard, say = os.pipe()
    ended = run_worker([says_its_pid, str(say)], [framed([b"x", b"y"]), b"", framed([b"z"])], pass_fds=[say])
    os.close(say)
    records_per_pid = Counter(until_eof(heard).split())
    os.close(heard)
    assert (ended.code, ended.err, ended.out) == (0, "", "the worker goes on after the pipes' end\n")
    assert sorted(records_per_pid.values()) == [1, 2]


@pytest.mark.parametrize(
    ("record", "code", "told"),
    [
        (b"raise", 1, "exited with code 1"),
        (b"kill", 137, "was killed by signal 9 (Killed)"),
        (b"exit", 70, "exited with code 0"),
    ],
)
def test_a_process_that_fails_ends_the_others_and_the_worker(
    record: bytes, code: int, told: str, says_its_pid: Path
) -> None:
    heard, say = os.pipe()
    with open_pipes(3) as pipes:
        worker = start_worker([says_its_pid, str(say)], [read_end for read_end, _ in pipes], pass_fds=[say])
        os.close(say)
        for _, write_end in pipes:
            os.write(write_end, framed([b"x"]))
        pids = lines(heard, 3)
        assert len(set(pids)) == 3
        os.write(pipes[1][1], framed([record]))
        _, err = worker.communicate()  # the pipes are still open: nothing but the failure can end it
        until_eof(heard)  # and nobody is left to say anything
        os.close(heard)
        failed_fd = pipes[1][0]
    assert worker.returncode == code
    failed_pid = err.rsplit("process ", 1)[1].split()[0]
    assert failed_pid.encode() in pids
    assert err.endswith(
        f"worker.py: fd {failed_fd}: its process {failed_pid} {told} before the pipe ended; "
        "the other processes are stopped\n"
    )
    assert ("ValueError: no such record" in err) == (record == b"raise")


def test_no_process_outlives_a_worker_that_is_killed(says_its_pid: Path) -> None:
    heard, say = os.pipe()
    with open_pipes(4) as pipes:
        worker = start_worker([says_its_pid, str(say)], [read_end for read_end, _ in pipes], pass_fds=[say])
        os.close(say)
        for _, write_end in pipes:
            os.write(write_end, framed([b"x"]))
        pidfds = [os.pidfd_open(int(pid)) for pid in lines(heard, 4)]
        worker.kill()
        worker.communicate()
        assert until_eof(heard) == b""
        os.close(heard)
        for pidfd in pidfds:
            assert select.select([pidfd], [], [])[0]  # readable once the process has ended
            os.close(pidfd)
    assert worker.returncode == -signal.SIGKILL


def test_results_of_any_size_come_in_the_order_of_the_pipes() -> None:
    with open_pipes(3) as pipes:
        fds = [read_end for read_end, _ in pipes]
        assert fork_per_pipe(fds, lambda fd: b"%d" % fd * 100_000) == [b"%d" % fd * 100_000 for fd in fds]
        assert fork_per_pipe(fds, lambda fd: b"") == [b"", b"", b""]


def test_a_process_holds_no_pipe_but_its_own() -> None:
    with open_pipes(3) as pipes:
        fds = [read_end for read_end, _ in pipes]

        def open_ones(_: int) -> bytes:
            return " ".join(str(fd) for fd in fds if Path("/proc/self/fd", str(fd)).exists()).encode()

        assert fork_per_pipe(fds, open_ones) == [b"%d" % fd for fd in fds]


def test_a_child_never_runs_what_its_parent_does_after_the_fork() -> None:
    """Whatever ends `work`, the child must not return into the caller's code."""
    parent_pid = os.getpid()

    def leaves(_: int) -> bytes:
        raise KeyboardInterrupt

    stderr, sys.stderr = sys.stderr, open(os.devnull, "w")  # noqa: SIM115, PTH123
    try:
        with open_pipes(1) as pipes, pytest.raises(ChildError) as failed:
            fork_per_pipe([pipes[0][0]], leaves)
    finally:
        sys.stderr.close()
        sys.stderr = stderr
    assert os.getpid() == parent_pid
    assert failed.value.exit_code == 1


def test_what_the_processes_have_printed_is_not_lost(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(
        "import trade_balancer\n"
        "print('before')\n"
        "trade_balancer.run(lambda record, fd: print(record.decode()), raw=True, processes=True)\n"
    )
    ended = run_worker([script], [framed([b"one", b"two"]), framed([b"three"]) + b"\0"])
    assert sorted(ended.out.split()) == ["before", "one", "three", "two"]
    assert ended.code == 65
    assert ended.err == f"worker.py: fd {ended.fds[1]}: the pipe ended inside a length: got 1 of 4 bytes\n"


PRINTS_THEN = "import trade_balancer\ntrade_balancer.run(lambda record, fd: {then}, raw=True, processes=True)\n"


def test_what_a_process_has_printed_before_it_fails_is_not_lost(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(PRINTS_THEN.format(then="print('printed') or 1 // 0"))
    ended = run_worker([script], [framed([b"x"])])
    assert (ended.code, ended.out) == (1, "printed\n")


def test_what_a_process_cannot_print_at_its_end_fails_the_worker(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(PRINTS_THEN.format(then="print('printed')"))
    with Path("/dev/full").open("w") as full:
        ended = run_worker([script], [framed([b"x"])], stdout=full)
    assert ended.code == 1
    assert "No space left on device" in ended.err
