"""A worker that has become another user (sudo, setpriv): lb may not signal it, and lives with that."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from harness import Lb, inline

NO_FEED = "ws://127.0.0.1:1/stocks"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED here: only root can become another user")

# root without CAP_KILL, as of a service with a short list of capabilities
MAY_NOT_KILL = inline("""
    import ctypes, os, sys
    assert ctypes.CDLL(None).prctl(24, 5, 0, 0, 0) == 0
    os.execv(sys.argv[1], sys.argv[1:])
""")

ENDS_BY_ITSELF = inline("""
    import os, sys
    os.setuid(65534)
    while os.read(int(sys.argv[1]), 65536):
        pass
""")


def test_one_that_ends_by_itself_is_reaped_and_replaced() -> None:
    worker = inline("import os; os.setuid(65534)")
    with Lb(NO_FEED, before=MAY_NOT_KILL, worker=worker) as lb:
        first = lb.await_line("worker started")["pid"]
        lb.await_line("worker ended", pid=first, exit_code=0)
        lb.await_line("worker started")
        assert lb.stop().exit_code == 0
        assert not [line for line in lb.lines if "killed" in line["message"]], "there was nobody left to kill"


def test_a_stop_that_it_obeys_is_like_any_other() -> None:
    with Lb(NO_FEED, before=MAY_NOT_KILL, worker=ENDS_BY_ITSELF) as lb:
        lb.await_line("worker started")
        assert lb.stop().exit_code == 0
        lb.await_line("worker ended", exit_code=0)


def test_one_that_does_not_end_is_told_and_left_behind() -> None:
    worker = inline("""
        import os, signal
        os.setuid(65534)
        print("ready", flush=True)
        signal.pause()
    """)
    with Lb(NO_FEED, 1, "--grace", "0.1", before=MAY_NOT_KILL, worker=worker) as lb:
        pid = lb.await_line("worker started")["pid"]
        lb.await_output(b"ready\n")
        lb.send_signal(signal.SIGTERM)
        lb.await_line("worker may not be signalled: it is another user's", pid=pid, level="error")
        lb.await_line("worker left behind: it does not end", pid=pid)
        os.kill(pid, signal.SIGKILL)
        lb.wait()


def test_what_it_leaves_running_is_waited_for_before_the_next_one_starts(tmp_path: Path) -> None:
    """It may still read the pipe."""
    worker = inline("""
        import os, signal, sys
        from pathlib import Path
        if not Path("seen").exists():
            Path("seen").touch()
            if os.fork() == 0:
                os.setuid(65534)
                os.write(1, b"%d\\n" % os.getpid())
                signal.pause()
        os.read(int(sys.argv[1]), 1)
    """)
    with Lb(NO_FEED, before=MAY_NOT_KILL, worker=worker, directory=tmp_path) as lb:
        leader = lb.await_line("worker started")["pid"]
        child = int(lb.await_output())
        try:
            os.kill(leader, signal.SIGKILL)
            lb.await_line("what the worker has left running can't be killed: it is waited for", slot=0, level="warning")
            lb.balance()
            assert sum(line["message"] == "worker started" for line in lb.lines) == 1
        finally:
            os.kill(child, signal.SIGKILL)
        lb.await_line("worker started")
        assert lb.stop().exit_code == 0
