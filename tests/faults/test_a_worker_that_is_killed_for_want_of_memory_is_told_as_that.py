"""The kernel ends a worker whose control group has no memory left: an end like any other, but for its words."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Feed, Lb, inline, message
from harness.flood import record

from lb.slots.control_group import own_folders

LIMIT_BYTES = 512 << 20
_LIMITS = {"cgroup": ("memory.limit_in_bytes",), "cgroup2": ("memory.max", "memory.swap.max")}
REMOVE_TIMEOUT_S = 10.0
JOIN = ("sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"')

EATS = inline("""
    import os, sys
    read, held = int(sys.argv[1]), []
    while os.read(read, 65536):
        while True:
            held.append(b"x" * (1 << 20))
""")


@contextlib.contextmanager
def little_memory() -> Iterator[Path]:
    """A control group below our own, or around it. Skips where none can be made."""
    with contextlib.ExitStack() as stack:
        for kind, folders in own_folders(Path("/")):
            for folder in folders:
                group = folder / f"lb-test-{os.getpid()}"
                with contextlib.suppress(OSError):
                    group.mkdir()
                    stack.callback(remove, group)
                    for name in _LIMITS[kind]:
                        (group / name).write_text(str(LIMIT_BYTES if name != "memory.swap.max" else 0))
                    yield group
                    return
        pytest.skip("NOT TESTED here: no control group with a limit of memory can be made")


def remove(group: Path) -> None:
    """As soon as all of its processes have gone."""
    deadline_s = time.monotonic() + REMOVE_TIMEOUT_S
    while True:
        try:
            group.rmdir()
        except OSError:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        else:
            return


def test_the_kernels_count_is_told_and_the_next_one_comes() -> None:
    with (
        little_memory() as group,
        Feed() as feed,
        Lb(feed.url, 1, worker=EATS, before=(*JOIN, str(group))) as lb,
        feed.session() as peer,
    ):
        first = lb.await_line("worker started")
        peer.say(message([record(0)]))
        end = lb.await_line("worker ended", signal="SIGKILL")
        assert end["pid"] == first["pid"]
        assert end["why"] == "killed, most likely for want of memory: oom_kill rose by 1 meanwhile"
        assert lb.await_line("worker started")["pid"] != first["pid"]
        assert lb.stop().balance["exact"]
