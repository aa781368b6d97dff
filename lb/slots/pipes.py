"""The pipes between the pump and the workers: made once, enlarged, and kept over every restart of a worker.

Law: both ends stay open here for as long as records are dealt. So a pipe outlives its worker, and writing to it never
meets EPIPE.
"""

from __future__ import annotations

import errno
import fcntl
import os
from array import array
from collections.abc import Mapping
from pathlib import Path
from termios import FIONREAD
from typing import Any

from lb import logs
from lb.errors import Unavailable
from lb.slots.allowance import Allowance
from lb.slots.memory import allowed_memory_bytes

LARGEST_BYTES = 1 << 28
"""The kernel grants no more: the array of a larger pipe passes its allocation limit (ENOMEM)."""

_SMALLEST_BYTES = 4096


class Pipes:
    """NPIPES pipes. Write ends do not block, read ends do."""

    def __init__(
        self, count: int, asked_bytes: int | None, allowance: Allowance, adopted: Mapping[str, Any] | None = None
    ) -> None:
        """`asked_bytes`: size of each; None: as much as is granted, all together at most a quarter of the
        memory that this process may use.

        `adopted`: what hand_over() said before this program took the process over.

        Raises Unavailable when the system has not that many descriptors.
        """
        allowance.add_descriptors(2 * count)
        self.read_fds: list[int] = []
        self.write_fds: list[int] = []
        """Their numbers, also of those that close_write_end() has closed."""
        self._writable: set[int] = set()
        if adopted is not None:
            self.read_fds, self.write_fds, self.size_bytes = (
                list(adopted[name]) for name in ("read_fds", "write_fds", "size_bytes")
            )
            self._writable.update(self.write_fds)
            return
        target_bytes = asked_bytes or _largest_share_bytes(max(count, 1))
        try:
            for _ in range(count):
                read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
                self.read_fds.append(read_fd)
                self.write_fds.append(write_fd)
                self._writable.add(write_fd)
                os.set_blocking(write_fd, False)
        except OSError as error:
            self.close()
            raise Unavailable(f"pipe {len(self.read_fds)} of {count}: {error.strerror}") from None
        self.size_bytes = [enlarge(fd, target_bytes) for fd in self.write_fds]
        if count:
            self._report(target_bytes, is_asked=asked_bytes is not None)

    def hand_over(self) -> dict[str, list[int]]:
        """While all are open."""
        return {"read_fds": self.read_fds, "write_fds": self.write_fds, "size_bytes": self.size_bytes}

    def backlog_bytes(self) -> list[int]:
        """What each pipe holds that its worker has not read."""
        return [self.unread_bytes(pipe) for pipe in range(len(self.read_fds))]

    def unread_bytes(self, pipe: int) -> int:
        """What one pipe holds that its worker has not read."""
        unread = array("i", [0])
        fcntl.ioctl(self.read_fds[pipe], FIONREAD, unread)
        return unread[0]

    def close_write_end(self, pipe: int) -> None:
        """The pipe's worker sees end of file once it has read what is there. The second time, nothing happens."""
        fd = self.write_fds[pipe]
        if fd in self._writable:
            self._writable.remove(fd)
            os.close(fd)

    def close_write_ends(self) -> None:
        """Of all pipes."""
        for pipe in range(len(self.write_fds)):
            self.close_write_end(pipe)

    def close(self) -> None:
        self.close_write_ends()
        while self.read_fds:
            os.close(self.read_fds.pop())

    def _report(self, target_bytes: int, *, is_asked: bool) -> None:
        least_bytes, most_bytes = min(self.size_bytes), max(self.size_bytes)
        sizes = {"pipe_size_bytes": least_bytes}
        if least_bytes < most_bytes:  # the user's share of pipe pages was used up on the way (pipe(7))
            sizes = {"pipe_size_bytes_least": least_bytes, "pipe_size_bytes_most": most_bytes}
        logs.info("pipes ready", pipes=len(self.size_bytes), **sizes)
        if least_bytes == target_bytes:
            return
        if is_asked:
            logs.warning(
                "pipes are smaller than asked", **sizes, asked_bytes=target_bytes, remedy=_remedy(target_bytes)
            )
        else:
            logs.info("larger pipes are possible", most_bytes=target_bytes, remedy=_remedy(target_bytes))


def _largest_share_bytes(count: int) -> int:
    share_bytes = max(allowed_memory_bytes() // 4 // count, _SMALLEST_BYTES)
    return int(min(LARGEST_BYTES, 1 << (share_bytes.bit_length() - 1)))  # the kernel rounds up to a power of two


def enlarge(fd: int, target_bytes: int) -> int:
    """Ask for the size, then for half of it, and so on; return what was granted."""
    asked_bytes = target_bytes
    granted_bytes = fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
    while asked_bytes > granted_bytes or asked_bytes == target_bytes:
        try:
            return fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, asked_bytes)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOMEM):
                raise
        asked_bytes //= 2
    return granted_bytes


def _remedy(target_bytes: int) -> str:
    if target_bytes > LARGEST_BYTES:
        return f"a smaller --pipe-size: the kernel grants no more than {LARGEST_BYTES} bytes"
    if target_bytes > int(Path("/proc/sys/fs/pipe-max-size").read_text()):
        return f"sysctl fs.pipe-max-size={target_bytes} or CAP_SYS_RESOURCE"
    return "sysctl fs.pipe-user-pages-soft=0 or CAP_SYS_RESOURCE"
