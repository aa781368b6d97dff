"""Standard error, which other processes may share, fill, and stop reading. Law: a line written here never waits.

The open file description of standard error may be a worker's, too: O_NONBLOCK must not be set on it (open(2)), and a
poll() before a write that may wait protects from little, because a worker can fill the room in between. So a pipe or a
terminal is opened anew for each line, which leaves nothing to keep or to close, and a socket is told with each send not
to wait.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from functools import partial

_FD = 2


class StandardError:
    """Takes lines, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_torn = False

    def write(self, line: bytes) -> bool:
        """Write `line`, which ends with a line feed, as far as there is room for it now. Returns whether all of it was
        written. After a line that was not, the next begins on a line of its own."""
        with self._lock:
            rest = b"\n" + line if self._is_torn else line
            with contextlib.suppress(OSError), _opened() as write:
                while rest and (written_bytes := write(rest[: select.PIPE_BUF])):
                    rest = rest[written_bytes:]
                    self._is_torn = bool(rest)
            return not rest


def is_journal(stream: str) -> bool:
    """Whether standard error is the stream that the variable JOURNAL_STREAM names as `DEVICE:INODE` (systemd.exec(5)).
    The variable is inherited, also by a process whose standard error is another."""
    with contextlib.suppress(OSError):
        about = os.fstat(_FD)
        return stream == f"{about.st_dev}:{about.st_ino}"
    return False


@contextlib.contextmanager
def _opened() -> Iterator[Callable[[bytes], int]]:
    """A way to write to standard error that does not wait: pieces of at most PIPE_BUF bytes, each of which a pipe takes
    whole or not at all (pipe(7)). Returns as os.write() does, or 0 where there is no room."""
    mode = os.fstat(_FD).st_mode
    if stat.S_ISSOCK(mode):
        with socket.socket(fileno=os.dup(_FD)) as sock:
            yield lambda piece: sock.send(piece, socket.MSG_DONTWAIT)
    elif stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        fd = _opened_anew()
        if fd is None:
            yield _write_where_there_is_room
            return
        try:
            yield partial(os.write, fd)
        finally:
            os.close(fd)
    else:
        yield partial(os.write, _FD)


def _opened_anew() -> int | None:
    """An open file description of our own; None where there is no /proc, no descriptor left, or where the pipe is
    another user's, as after su. A terminal that is another user's has a name that everybody may open (tty(4))."""
    for path in (f"/proc/self/fd/{_FD}", *(["/dev/tty"] if _is_controlling_terminal() else [])):
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a pipe that nobody reads
                raise
    return None


def _is_controlling_terminal() -> bool:
    with contextlib.suppress(OSError):  # ENOTTY for any other (tcgetpgrp(3))
        return os.tcgetpgrp(_FD) >= 0
    return False


def _write_where_there_is_room(piece: bytes) -> int:
    """The next best. Waits where a worker fills the room between the two calls, until somebody reads again."""
    poll = select.poll()
    poll.register(_FD, select.POLLOUT)
    return os.write(_FD, piece) if poll.poll(0) else 0
