"""No descriptor is to be had for a while: for the next session, the next worker, or the order of a pipe."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from harness import SOON, Feed, Lb, inline, message
from harness.flood import record


@contextmanager
def no_more_descriptors(pid: int) -> Iterator[None]:
    """Every number below the limit is taken already."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (6, before[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def test_a_session_is_opened_once_there_are_some_again() -> None:
    with Feed() as feed, Lb(feed.url, 2, constants=SOON) as lb:
        with feed.session() as peer:
            lb.await_line("session open")
            with no_more_descriptors(lb.pid):
                peer.fin()
                lb.await_line("session lost")
                assert "Too many open files" in lb.await_line("no session")["reason"]
                assert "Too many open files" in lb.await_line("no session")["reason"]
        with feed.session() as peer:
            peer.say(message([record(0)]))
            lb.await_records(1)
        assert lb.stop().exit_code == 0


TAKES_A_BITE_THEN_RECORDS = """
    import os, signal, sys
    from pathlib import Path
    fd = int(sys.argv[1])
    if not Path("seen").exists():
        Path("seen").touch()
        os.read(fd, 10)
        print("bitten", flush=True)
        signal.pause()
    data = b""
    while more := os.read(fd, 65536):
        data += more
    sys.stdout.buffer.write(data)
"""


def test_a_worker_is_started_only_on_pipes_that_are_in_order(tmp_path: os.PathLike[str]) -> None:
    """To put a pipe in order takes descriptors; a worker that began amid a record would read nonsense for ever."""
    with (
        Feed() as feed,
        Lb(feed.url, 1, worker=inline(TAKES_A_BITE_THEN_RECORDS), directory=os.fspath(tmp_path)) as lb,
        feed.session() as peer,
    ):
        peer.say(message([record(0), record(1)]))
        lb.await_output(b"bitten\n")
        with no_more_descriptors(lb.pid):
            os.kill(lb.await_line("worker started")["pid"], signal.SIGKILL)
            lb.await_line("worker ended")
            line = lb.await_line("worker can't be started", level="error")
            assert "Too many open files" in line["error"]
        lb.await_line("rest of a half-read record dropped")
        lb.await_line("worker started")
        assert lb.stop().exit_code == 0
        assert lb.output == b"bitten\n" + len(record(1)).to_bytes(4, "little") + record(1)
