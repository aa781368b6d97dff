"""PR_SET_DUMPABLE (prctl(2)): no core of `lb` is written and no debugger of its user attached, unless --dumpable."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from harness import Lb

NO_FEED = "ws://127.0.0.1:1/stocks"
GROUP = 1


def owner_of_secrets(pid: int) -> tuple[int, int]:
    """User and group of the files that show a process's memory: root's where it is not dumpable (proc(5))."""
    status = Path(f"/proc/{pid}/environ").stat()
    return status.st_uid, status.st_gid


@pytest.mark.parametrize("options", [(), ("--dumpable",)], ids=["default", "dumpable"])
def test_the_memory_of_lb_is_its_users_only_with_dumpable(options: tuple[str, ...]) -> None:
    # Root's own files would be root's in both cases: there a group tells them apart.
    group = {"group": GROUP} if os.geteuid() == 0 else {}
    its_user = os.geteuid(), group.get("group", os.getegid())
    with Lb(NO_FEED, 1, *options, **group) as lb:
        worker = lb.await_line("worker started")["pid"]
        (recorder,) = lb.await_recorders(1)
        assert owner_of_secrets(lb.pid) == (its_user if options else (0, 0))
        assert worker == recorder
        assert owner_of_secrets(recorder) == its_user, "a worker is as its user started it"


@pytest.mark.parametrize("options", [(), ("--dumpable",)], ids=["default", "dumpable"])
def test_a_core_is_written_only_with_dumpable(tmp_path: Path, options: tuple[str, ...]) -> None:
    if Path("/proc/sys/kernel/core_pattern").read_text().strip() != "core":
        pytest.skip("this machine's cores go elsewhere: kernel.core_pattern")
    lifted = ("/bin/sh", "-c", 'ulimit -c unlimited; exec "$@"', "sh")
    with Lb(NO_FEED, 1, *options, before=lifted, cwd=tmp_path) as lb:
        lb.await_line("worker started")
        lb.send_signal(signal.SIGABRT)
        assert lb.wait().exit_code == -signal.SIGABRT
    assert [file.name.partition(".")[0] for file in tmp_path.iterdir()] == (["core"] if options else [])
