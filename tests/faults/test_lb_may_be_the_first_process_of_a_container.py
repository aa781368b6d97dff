"""lb as process 1 of a PID namespace, as a container without an init runs it: signals, orphans, and the end of all."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from harness import Feed, Lb, inline, message
from harness.flood import record

UNSHARE = ("unshare", "--map-root-user", "--pid", "--fork", "--kill-child")


@pytest.fixture(autouse=True)
def namespaces() -> None:
    try:
        done = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare here")
    if done.returncode:
        pytest.skip(f"no PID namespace may be made here: {done.stderr.strip()}")


def first_process(unshare: int) -> int:
    """Its number as it is seen from here."""
    return int(Path(f"/proc/{unshare}/task/{unshare}/children").read_text())


def test_it_reads_replaces_a_worker_and_stops() -> None:
    with Feed() as feed, Lb(feed.url, before=UNSHARE) as lb, feed.session() as peer:
        peer.say(message([record(0)]))
        lb.await_records(1)
        first = first_process(lb.pid)
        (worker,) = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        os.kill(int(worker), signal.SIGKILL)
        assert lb.await_line("worker ended")["signal"] == "SIGKILL"
        peer.say(message([record(1)]))
        lb.await_records(2)
        os.kill(first, signal.SIGTERM)
        end = lb.wait()
        assert (end.exit_code, end.balance["received"], end.balance["exact"]) == (0, 2, True)


LEAVES_AN_ORPHAN = """
    import os, sys
    if os.fork() == 0:
        if os.fork() == 0:
            os.setsid()
            os.close(int(sys.argv[1]))
            os._exit(0)
        os._exit(0)
    os.wait()
    print("left", flush=True)
    while os.read(int(sys.argv[1]), 65536):
        pass
"""


def test_an_orphan_of_a_worker_is_no_zombie_for_long() -> None:
    with Feed() as feed, Lb(feed.url, worker=inline(LEAVES_AN_ORPHAN), before=UNSHARE) as lb, feed.session():
        lb.await_output(b"left\n")
        first = first_process(lb.pid)
        children = Path(f"/proc/{first}/task/{first}/children")
        while len(children.read_text().split()) != 1:
            pass
        os.kill(first, signal.SIGTERM)
        assert lb.wait().exit_code == 0
