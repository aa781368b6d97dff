"""lbctl as a person types it: tables, lines of JSON, exit codes, and what a shell completes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import SOON, Feed, Lb, message
from harness.flood import record
from harness.lb_process import inline

NO_FEED = "ws://127.0.0.1:1/stocks"
LBCTL = [sys.executable, "-m", "trade_balancer.control.ctl"]


def lbctl(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LBCTL, *map(str, words)], capture_output=True, text=True, check=False, timeout=30)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Of an lb that has received 3 records."""
    path = tmp_path / "lb.sock"
    with Feed() as feed, Lb(feed.url, 2, "--control", str(path)) as lb, feed.session() as peer:
        peer.say(message([record(number) for number in range(3)]))
        lb.await_records(3)
        yield path


def test_status_is_a_table(path: Path) -> None:
    shown = lbctl(path, "status")
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert "balance received=3 recovered=0 written=3 waiting=0 spilled=0 dropped=0 exact=True" in lines
    assert [line.split()[:2] for line in lines[-2:]] == [["0", "2"], ["1", "1"]]
    assert len({len(line) for line in lines[-3:]}) == 1, "columns are aligned"


def test_how_sessions_ended_is_told_in_words_for_people(tmp_path: Path) -> None:
    path = tmp_path / "lb.sock"
    with Feed() as feed, Lb(feed.url, 1, "--control", str(path), constants=SOON) as lb:
        with feed.session():
            lb.await_line("session open")
            open_first = lbctl(path, "status").stdout
        with feed.session():
            lb.await_line("session open")
            after = lbctl(path, "status").stdout
    (line,) = (line for line in after.splitlines() if line.startswith("session "))
    assert "ends_total=lost:1 last_reason='connection closed without a close frame'" in line
    assert "last_reason" not in open_first
    assert not set("{}[]") & set(open_first + after)


def test_on_a_terminal_it_is_drawn(path: Path) -> None:
    ours, theirs = pty.openpty()
    subprocess.run([*LBCTL, str(path), "status"], stdout=theirs, check=True, timeout=30)
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "\N{BOX DRAWINGS LIGHT VERTICAL}" in shown


def test_json_is_a_line(path: Path) -> None:
    shown = lbctl("--json", path, "status")
    assert json.loads(shown.stdout)["balance"]["received"] == 3
    assert shown.stdout.count("\n") == 1


def test_watch_goes_on_until_it_is_interrupted(path: Path) -> None:
    with subprocess.Popen([*LBCTL, str(path), "watch"], stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline().startswith("status session=open received=3")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 0


def test_exit_codes(path: Path, tmp_path: Path) -> None:
    assert lbctl(path, "restart", "0").returncode == 0
    assert lbctl(path, "restart", "9").returncode == 64
    assert lbctl(path, "restart").returncode == 64
    assert lbctl(path, "dance").returncode == 64
    nobody = lbctl(tmp_path / "none", "status")
    assert (nobody.returncode, "no lb there" in nobody.stderr) == (69, True)
    assert lbctl(path, "stop").returncode == 0


def test_a_rolling_restart_ends_at_a_worker_that_does_not_come_back(tmp_path: Path) -> None:
    path, broken = tmp_path / "lb.sock", tmp_path / "broken"
    worker = inline(f"""
        import os, sys
        if os.path.exists({str(broken)!r}):
            sys.exit(3)
        print("reads", flush=True)
        while os.read(int(sys.argv[1]), 65536):
            pass
    """)
    with Lb(NO_FEED, 3, "--spawn", "per-pipe", "--control", str(path), worker=worker) as lb:
        lb.await_output_lines(3)
        broken.touch()
        shown = lbctl(path, "restart", "all", "--rolling")
        slots = json.loads(lbctl("--json", path, "status").stdout)["slots"]
        broken.unlink()
        assert lbctl(path, "restart", "all").returncode == 0
        lb.await_line("worker ended", slot=2)
    assert (shown.returncode, shown.stdout) == (69, "")
    assert "slot 0: the new worker is not there: " in shown.stderr
    assert "exit_code 3" in shown.stderr
    assert "slots 1 to 2 keep theirs" in shown.stderr
    assert [slot["starts_total"] for slot in slots[1:]] == [1, 1]


def test_rolling_is_of_all_slots(path: Path) -> None:
    for words in (["restart", "0", "--rolling"], ["status", "--rolling"]):
        assert "--rolling is of: restart all" in lbctl(path, *words).stderr
    assert lbctl(path, "restart", "every").returncode == 64


def test_it_imports_nothing_of_lb() -> None:
    code = (
        "import sys, trade_balancer.control.ctl; print([m for m in sys.modules if m.split('.')[0] in ('lb', 'ktls')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
