"""How many processes were killed for want of memory: what the kernel tells of control groups, of both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from lb.slots.oom import OomKills

V2 = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
EVENTS = "low 0\nhigh 3\nmax 7\noom 5\noom_kill {}\noom_group_kill 0\n"
CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"
VMSTAT = "nr_free_pages 1\noom_kill {}\nnuma_hit 2\n"


def put(root: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("own", "mounts", "path", "text"),
    [
        ("0::/a/b\n", V2, "sys/fs/cgroup/a/b/memory.events", EVENTS),
        ("0::/\n", V2, "sys/fs/cgroup/memory.events", EVENTS),
        ("4:memory:/a/b\n0::/\n", V1, "sys/fs/cgroup/memory/a/b/memory.oom_control", CONTROL),
        ("4:memory:/a\n0::/c\n", V2 + V1, "sys/fs/cgroup/memory/a/memory.oom_control", CONTROL),
        ("0::/\n", V2, "proc/vmstat", VMSTAT),
        ("", "", "proc/vmstat", VMSTAT),
    ],
)
def test_the_own_group_s_count_or_else_the_machine_s(
    tmp_path: Path, own: str, mounts: str, path: str, text: str
) -> None:
    others = {"sys/fs/cgroup/a/memory.events": EVENTS.format(99)} if path.startswith("sys/fs/cgroup/a/b") else {}
    machine = {"proc/vmstat": VMSTAT.format(1000), "proc/self/cgroup": own, "proc/self/mountinfo": mounts}
    put(tmp_path, {**machine, **others, path: text.format(3)})
    kills = OomKills(tmp_path)
    assert kills.total() == 3
    put(tmp_path, {path: text.format(4)})
    assert kills.total() == 4


def test_where_nothing_tells_it_is_not_known(tmp_path: Path) -> None:
    assert OomKills(tmp_path).total() is None
    put(tmp_path, {"proc/vmstat": "nr_free_pages 1\n"})
    assert OomKills(tmp_path).total() is None


def test_a_group_that_has_gone_is_not_known(tmp_path: Path) -> None:
    put(tmp_path, {"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": V2})
    put(tmp_path, {"sys/fs/cgroup/memory.events": EVENTS.format(3)})
    kills = OomKills(tmp_path)
    (tmp_path / "sys/fs/cgroup/memory.events").unlink()
    assert kills.total() is None


def test_this_machine_tells() -> None:
    total = OomKills().total()
    assert total is not None
    assert total >= 0
