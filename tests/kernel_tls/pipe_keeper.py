"""A worker that is never between a byte's being taken from a pipe and its being kept: the kernel moves it (splice(2)).

What the pipe at place N among its arguments brings is in the file `pipe-N.PID` in the folder it runs in, whatever kills
the worker, and whenever. Runs as a script: `pipe_keeper.py FD...`.
"""

from __future__ import annotations

import os
import select
import signal
import sys

MOST_BYTES = 1 << 20


def main() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as the SDK's workers do: the pipes' end is the end
    files = {
        int(fd): os.open(f"pipe-{place}.{os.getpid()}", os.O_WRONLY | os.O_CREAT, 0o644)
        for place, fd in enumerate(sys.argv[1:])
    }
    poll = select.poll()
    for fd in files:
        poll.register(fd, select.POLLIN)
    left = len(files)
    while left:
        for fd, _ in poll.poll():
            if not os.splice(fd, files[fd], MOST_BYTES):
                poll.unregister(fd)
                left -= 1


if __name__ == "__main__":
    main()
