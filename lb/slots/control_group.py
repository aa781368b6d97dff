"""The control groups that count this process's memory.

Law: reads what the kernel tells, and trusts nothing to be there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def own_folders(root: Path) -> Iterator[tuple[str, list[Path]]]:
    """Kind ("cgroup2"; "cgroup" for version 1) and folders: of the process's own group first, then of those around it,
    as far as a mount shows them.

    `root`: where /proc and /sys are looked for.
    """
    own_groups = dict(_own_groups(_lines(root / "proc/self/cgroup")))
    for kind, seen_from, mount_point in _mounts(_lines(root / "proc/self/mountinfo")):
        if kind in own_groups:
            mounted = root / mount_point.relative_to("/")
            yield kind, [mounted / folder for folder in _with_parents(own_groups[kind], seen_from)]


def _own_groups(lines: list[str]) -> Iterator[tuple[str, PurePosixPath]]:
    """Of /proc/PID/cgroup (cgroups(7)): NUMBER:CONTROLLERS:PATH, with number 0 and no controllers for version 2."""
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            yield "cgroup2", PurePosixPath(path)
        elif "memory" in controllers.split(","):
            yield "cgroup", PurePosixPath(path)


def _mounts(lines: list[str]) -> Iterator[tuple[str, PurePosixPath, PurePosixPath]]:
    """Kind, root and mount point of those that limit memory, of /proc/PID/mountinfo (proc(5))."""
    for line in lines:
        head, _, tail = line.partition(" - ")
        kind, _, options = tail.split(" ", 2)
        if kind == "cgroup2" or (kind == "cgroup" and "memory" in options.split(",")):
            seen_from, mount_point = map(_unescaped, head.split(" ")[3:5])
            yield kind, seen_from, mount_point


def _with_parents(group: PurePosixPath, seen_from: PurePosixPath) -> Iterator[PurePosixPath]:
    """The folders of a group and of those around it, as far as the mount shows them: all are below `seen_from`.

    In a container without a namespace of its own for groups, that is the container's group. One that is not below it
    can't be seen here, but what is mounted can.
    """
    inside = group.relative_to(seen_from) if group.is_relative_to(seen_from) else PurePosixPath()
    yield from (inside, *inside.parents)


def _unescaped(text: str) -> PurePosixPath:
    return PurePosixPath(text.encode("latin-1", "backslashreplace").decode("unicode_escape"))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
