"""The socket file: made, guarded, and taken away at the end.

Law: the file of a living lb is never touched. Who holds the lock on PATH.lock may replace PATH, and only where it is a
socket that nobody listens on. Its mode lets in its owner, or a group; who has come in is looked at again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import struct
from collections.abc import Mapping
from pathlib import Path

from lb.errors import Unavailable

_CREDENTIALS = struct.Struct("3i")
"""struct ucred: pid, uid, gid (unix(7))."""
_SO_PEERGROUPS = 59
_GROUPS_BYTES = 1024
"""Python's getsockopt() takes no more: 256 groups."""


class Listener:
    """Listens on `path`; to be closed. `group`: whose members may connect, too."""

    def __init__(self, path: str, group: int | None, adopted: Mapping[str, int] | None = None) -> None:
        """`adopted`: what hand_over() said before this program took the process over. Raises Unavailable: another lb
        serves the path, something else stands there, or it can't be made."""
        self._path = Path(path).absolute()  # lb does not change its directory, but whoever asks for it might
        self._group = group
        if adopted is not None:
            self._lock_fd, self.socket = adopted["lock_fd"], socket.socket(fileno=adopted["fd"])
            return
        try:
            self._lock_fd = self._lock()
            try:
                self._clear()
                self.socket = self._bind()
            except BaseException:
                self._unlock()
                raise
        except OSError as error:
            raise Unavailable(f"--control {path}: {error.strerror or error}") from None

    def hand_over(self) -> dict[str, int]:
        return {"lock_fd": self._lock_fd, "fd": self.socket.fileno()}

    def close(self) -> None:
        """Take the file away. What has connected stays connected."""
        with contextlib.suppress(OSError):
            self._path.unlink()
        self.socket.close()
        self._unlock()

    def admits(self, client: socket.socket) -> bool:
        """Whether lb's own user, root, or a member of the group is at the other end."""
        _, uid, gid = _CREDENTIALS.unpack(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if uid in (0, os.geteuid()):
            return True
        return self._group is not None and (gid == self._group or self._group in _groups_of(client))

    @property
    def _lock_path(self) -> Path:
        return self._path.with_name(f"{self._path.name}.lock")

    def _lock(self) -> int:
        while True:
            fd = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_file(fd, self._lock_path):  # otherwise its holder has ended, and taken it away
                    return fd
            except BlockingIOError:
                os.close(fd)
                raise Unavailable(f"--control {self._path}: another lb serves it") from None
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    def _unlock(self) -> None:
        with contextlib.suppress(OSError):
            self._lock_path.unlink()
        os.close(self._lock_fd)

    def _clear(self) -> None:
        """Take away the file that a dead lb has left."""
        try:
            mode = self._path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise Unavailable(f"--control {self._path}: there is a file that is no socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            try:
                probe.connect(str(self._path))
            except ConnectionRefusedError:
                self._path.unlink()
                return
            except BlockingIOError:  # its queue is full: somebody lives
                pass
        raise Unavailable(f"--control {self._path}: another program serves it")

    def _bind(self) -> socket.socket:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        mask_before = os.umask(0o177)
        try:
            listening.bind(str(self._path))
            if self._group is not None:
                if self._group != os.getegid():  # else it is there already: a service may be forbidden to change it
                    os.chown(self._path, -1, self._group)
                self._path.chmod(0o660)
            listening.listen()
        except BaseException:
            listening.close()
            raise
        finally:
            os.umask(mask_before)
        return listening


def _is_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.lstat())
    except FileNotFoundError:
        return False


def _groups_of(client: socket.socket) -> list[int]:
    try:
        raw = client.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES)
    except OSError:  # more than that
        return []
    return [number for (number,) in struct.iter_unpack("I", raw)]
