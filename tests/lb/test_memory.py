"""How much memory may be used: what the kernel tells of control groups, of both versions, in and out of containers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import lb_environment

from lb.slots.memory import allowed_memory_bytes

MACHINE_BYTES = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
MIB = 1 << 20
V1_NONE = "9223372036854771712"

V2 = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)


def told(root: Path, own: str, mounts: str, files: dict[str, str]) -> int:
    """What is found where the kernel tells this."""
    texts = {"proc/self/cgroup": own, "proc/self/mountinfo": "1 0 8:1 / / rw - ext4 /dev/root rw\n" + mounts}
    for name, text in {**texts, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return allowed_memory_bytes(root)


def test_without_groups_it_is_the_machines(tmp_path: Path) -> None:
    assert allowed_memory_bytes(tmp_path) == MACHINE_BYTES
    assert told(tmp_path, "0::/\n", V2, {}) == MACHINE_BYTES
    assert told(tmp_path, "0::/a\n", V2, {"sys/fs/cgroup/a/memory.max": "max\n"}) == MACHINE_BYTES


def test_the_least_of_all_groups_around_it(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/a/b/c/memory.max": "max\n",
        "sys/fs/cgroup/a/b/memory.max": f"{30 * MIB}\n",
        "sys/fs/cgroup/a/memory.max": f"{20 * MIB}\n",
        "sys/fs/cgroup/other/memory.max": f"{10 * MIB}\n",
    }
    assert told(tmp_path, "0::/a/b/c\n", V2, files) == 20 * MIB


def test_where_a_group_is_held_up_is_a_limit_too(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/a/memory.max": f"{30 * MIB}\n", "sys/fs/cgroup/a/memory.high": f"{20 * MIB}\n"}
    assert told(tmp_path, "0::/a\n", V2, files) == 20 * MIB


def test_in_a_container_the_groups_root_is_its_own(tmp_path: Path) -> None:
    """With a namespace of its own for groups."""
    assert told(tmp_path, "0::/\n", V2, {"sys/fs/cgroup/memory.max": f"{512 * MIB}\n"}) == 512 * MIB


def test_version_1(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": f"{V1_NONE}\n",
        "sys/fs/cgroup/memory/a/memory.limit_in_bytes": f"{20 * MIB}\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{V1_NONE}\n",
        "sys/fs/cgroup/cpu/a/memory.limit_in_bytes": f"{10 * MIB}\n",
    }
    assert told(tmp_path, "5:cpu:/a\n4:cpuacct,memory:/a/b\n0::/\n", V1, files) == 20 * MIB


def test_version_1_in_a_container_whose_folder_alone_is_mounted(tmp_path: Path) -> None:
    """Its own group is named as the host names it."""
    mounts = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    files = {
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{20 * MIB}\n",
        "sys/fs/cgroup/memory/x/memory.limit_in_bytes": f"{10 * MIB}\n",
    }
    assert told(tmp_path / "1", "4:memory:/docker/abc\n", mounts, files) == 20 * MIB
    assert told(tmp_path / "2", "4:memory:/docker/abc/x\n", mounts, files) == 10 * MIB
    assert told(tmp_path / "3", "4:memory:/another\n", mounts, files) == 20 * MIB, "the best that can be seen"


def test_both_versions_beside_each_other(tmp_path: Path) -> None:
    mounts = V1 + V2.replace("/sys/fs/cgroup ", "/sys/fs/cgroup/unified ")
    files = {
        "sys/fs/cgroup/memory/a/memory.limit_in_bytes": f"{20 * MIB}\n",
        "sys/fs/cgroup/unified/b/memory.max": f"{10 * MIB}\n",
    }
    assert told(tmp_path / "1", "4:memory:/a\n0::/b\n", mounts, files) == 10 * MIB
    assert told(tmp_path / "2", "4:memory:/a\n0::/\n", mounts, files) == 20 * MIB


def test_a_mount_point_with_a_space_in_it(tmp_path: Path) -> None:
    mounts = V2.replace("/sys/fs/cgroup ", "/control\\040groups ")
    assert told(tmp_path, "0::/\n", mounts, {"control groups/memory.max": f"{20 * MIB}\n"}) == 20 * MIB


@pytest.fixture
def a_group_of_64_mib() -> Iterator[Path]:
    """A real one, below this process's own."""
    own = Path("/proc/self/cgroup").read_text().splitlines()
    v1 = [line.split(":")[2] for line in own if "memory" in line.split(":")[1].split(",")]
    v2 = [line.split(":")[2] for line in own if line.startswith("0::")]
    folder = (
        Path(f"/sys/fs/cgroup/memory{v1[0]}/trade-balancer-test")
        if v1
        else Path(f"/sys/fs/cgroup{v2[0] if v2 else ''}/trade-balancer-test")
    )
    folder = folder.with_name(f"{folder.name}-{os.getpid()}")
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"NOT TESTED here, for want of the right to make a control group: {error}")
    try:
        limit = folder / ("memory.limit_in_bytes" if v1 else "memory.max")
        if not limit.exists():
            pytest.skip("NOT TESTED here, for want of a memory controller in this control group")
        limit.write_text(f"{64 * MIB}")
        yield folder
    finally:
        folder.rmdir()


def test_what_the_kernel_really_tells(a_group_of_64_mib: Path) -> None:
    code = f"""
import os
from pathlib import Path
from lb.slots.memory import allowed_memory_bytes
from lb.slots.pipes import _largest_share_bytes
Path({str(a_group_of_64_mib / "cgroup.procs")!r}).write_text(str(os.getpid()))
print(allowed_memory_bytes(), _largest_share_bytes(4))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=lb_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{64 * MIB} {4 * MIB}\n"
