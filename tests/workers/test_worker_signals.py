"""The signals that stop lb, sent to a worker: it goes on to the end of its pipes."""

from __future__ import annotations

import json
import os
import signal
import textwrap
from pathlib import Path

import pytest
from feeding import framed, ready_worker

RECORDS = [b'{"ev":"T","sym":"A"}'] * 10

BY_LB = {"LB_PIPES": "1"}

# Tells that it has handled its first record, and how many it has handled at the end.
COUNTS = """
    import sys
    from trade_balancer import run
    handled = 0
    def on_record(record: dict, fd: int) -> None:
        global handled
        handled += 1
        if handled == 1:
            print("handles", flush=True)
"""


def script(directory: Path, before: str = "", options: str = "") -> Path:
    path = directory / "worker.py"
    parts = COUNTS, before, f"print(run(on_record{options}))"
    path.write_text("\n".join(map(textwrap.dedent, parts)))
    return path


@pytest.mark.parametrize(
    ("number", "environment", "options"),
    [
        (signal.SIGTERM, {}, ""),
        (signal.SIGTERM, BY_LB, ", processes=True"),
        (signal.SIGINT, BY_LB, ", batch=True"),
        (signal.SIGHUP, BY_LB, ", processes=True"),
    ],
)
def test_a_worker_goes_on_to_the_end_of_its_pipes(
    number: signal.Signals, environment: dict[str, str], options: str, tmp_path: Path
) -> None:
    with ready_worker([script(tmp_path, options=options)], 2, environment) as (worker, pipes):
        worker.send_signal(number)
        os.write(pipes[0], framed(RECORDS))
        assert worker.stdout is not None
        assert worker.stdout.readline() == "handles\n"
        for child in Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split():
            os.kill(int(child), number)
        worker.send_signal(number)
        for pipe in pipes:
            os.write(pipe, framed(RECORDS))
            os.close(pipe)
        out, err = worker.communicate()
    assert (worker.returncode, err) == (0, "")
    assert out.endswith("30 records, 0 of them skipped: 0 undecodable, 0 by failures of the handler\n")


@pytest.mark.parametrize("processes", [[], ["--processes"]])
def test_a_ready_made_worker_goes_on_to_the_end_of_its_pipes_and_writes_its_results(
    processes: list[str], tmp_path: Path
) -> None:
    summary = tmp_path / "summary"
    arguments = ["-m", "trade_balancer.count", "--summary", str(summary), *processes]
    with ready_worker(arguments, 2) as (worker, pipes):
        for pipe in pipes:
            os.write(pipe, framed(RECORDS))
        worker.terminate()
        for pipe in pipes:
            os.write(pipe, framed(RECORDS))
            os.close(pipe)
        out, err = worker.communicate()
    assert (worker.returncode, err) == (0, "")
    assert json.loads(out)["records"] == json.loads(summary.read_text())["records"] == 40


def test_without_lb_an_interrupt_is_one(tmp_path: Path) -> None:
    with ready_worker([script(tmp_path)]) as (worker, pipes):
        worker.send_signal(signal.SIGINT)
        _, err = worker.communicate()
        os.close(pipes[0])
    assert worker.returncode == -signal.SIGINT
    assert err.endswith("KeyboardInterrupt\n")


def test_a_handler_of_the_program_is_left_alone(tmp_path: Path) -> None:
    before = "import signal; signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))"
    with ready_worker([script(tmp_path, before=before)], 1, BY_LB) as (worker, pipes):
        worker.terminate()
        worker.communicate()
        os.close(pipes[0])
    assert worker.returncode == 5


def test_what_the_worker_starts_can_be_terminated(tmp_path: Path) -> None:
    before = """
    def on_record(record: dict, fd: int) -> None:
        import subprocess
        child = subprocess.Popen(["sleep", "1000"])
        child.terminate()
        print(child.wait(), flush=True)
    """
    with ready_worker([script(tmp_path, before=before)]) as (worker, pipes):
        os.write(pipes[0], framed(RECORDS[:1]))
        os.close(pipes[0])
        out, _ = worker.communicate()
    assert out.startswith("-15\n")


def test_in_a_thread_nothing_is_changed(tmp_path: Path) -> None:
    before = """
    import signal, threading
    thread = threading.Thread(target=lambda: print(run(on_record)))
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    sys.exit(6)
    """
    with ready_worker([script(tmp_path, before=before)]) as (worker, pipes):
        os.write(pipes[0], framed(RECORDS))
        os.close(pipes[0])
        out, _ = worker.communicate()
    assert worker.returncode == 6
    assert "10 records, 0" in out
