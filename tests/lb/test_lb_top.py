"""lb-top: the same numbers as lb's own, as a picture in the terminal."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Feed, Lb, message
from harness.flood import record

TOP = [sys.executable, "-m", "trade_balancer.control.top"]
SIZE = {**os.environ, "COLUMNS": "140", "LINES": "50", "TERM": "xterm"}


@pytest.fixture
def joined(tmp_path: Path) -> Iterator[tuple[Lb, Path]]:
    """An lb with 2 pipes, a worker for each, and 1,234 records that they got."""
    path = tmp_path / "lb.sock"
    options = ("--control", str(path), "--spawn", "per-pipe")
    constants = {"lb.control.server.PUSH_S": 0.1}
    with Feed() as feed, Lb(feed.url, 2, *options, constants=constants) as lb, feed.session() as peer:
        lb.await_recorders(2)
        peer.say(message([record(number) for number in range(1234)]))
        lb.await_records(1234)
        yield lb, path


def test_one_picture_has_the_balance_pipes_and_workers(joined: tuple[Lb, Path]) -> None:
    lb, path = joined
    done = subprocess.run([*TOP, "--once", path], capture_output=True, text=True, env=SIZE, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    balance = lb.balance()
    assert f"received {balance['received']:,}  recovered 0  written {balance['written']:,}" in done.stdout
    assert "All is well" in done.stdout
    assert "\x1b" not in done.stdout
    pids = list(lb.recording.by_pid)
    assert all(re.search(rf"running +{pid} ", done.stdout) for pid in pids), done.stdout
    for pipe, written in enumerate(balance["per_pipe"]):
        assert re.search(rf"^ +{pipe} .* {written} ", done.stdout, re.MULTILINE), done.stdout


def test_in_a_terminal_a_killed_worker_shows(joined: tuple[Lb, Path]) -> None:
    lb, path = joined
    ours, theirs = pty.openpty()
    with (
        subprocess.Popen([*TOP, str(path)], stdin=theirs, stdout=theirs, env=SIZE) as top,
        os.fdopen(ours, "rb", 0) as screen,
    ):
        os.close(theirs)
        seen = b""
        while b"All is well" not in seen:
            seen += screen.read(1 << 16)
        pid = next(iter(lb.recording.by_pid))
        os.kill(pid, signal.SIGKILL)
        while f"pid={pid} signal=SIGKILL".encode() not in seen:
            seen += screen.read(1 << 16)
        top.send_signal(signal.SIGINT)
        assert top.wait(20) == 0


def test_where_no_lb_is_and_without_the_extra_that_is_a_sentence(tmp_path: Path) -> None:
    done = subprocess.run([*TOP, tmp_path / "none"], capture_output=True, text=True, check=False)
    assert (done.returncode, "no lb there" in done.stderr) == (69, True)
    code = (
        "import sys; sys.modules['rich.console'] = None; from trade_balancer.control.top import main; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code, "x"], capture_output=True, text=True, check=False)
    assert (done.returncode, "pip install 'trade-balancer[control]'" in done.stderr) == (69, True)
