"""A worker that compares what each of its pipes brings, byte for byte, with a tape that repeats itself.

The tape of the pipe at place N among its arguments is the file `tape-N` in the folder it runs in. At the first
difference it ends, with code 1 and a file `difference`; at the end of all its pipes it writes how many bytes each has
brought to `checked`. Runs as a script: `tape_checker.py FD...`.
"""

from __future__ import annotations

import json
import os
import select
import sys
from pathlib import Path

READ_BYTES = 1 << 18


class Pipe:
    """`place`: among the arguments."""

    def __init__(self, place: int) -> None:
        self._place = place
        self._tape = memoryview(Path(f"tape-{place}").read_bytes())
        self.taken_bytes = 0

    def take(self, data: bytes) -> None:
        """The next bytes of the pipe."""
        at = 0
        while at < len(data):
            tape_at = self.taken_bytes % len(self._tape)
            size = min(len(data) - at, len(self._tape) - tape_at)
            if self._tape[tape_at : tape_at + size] != data[at : at + size]:
                Path("difference").write_text(
                    f"pipe {self._place}, within {size} bytes from byte {self.taken_bytes} on\n"
                )
                sys.exit(1)
            at += size
            self.taken_bytes += size


def main() -> None:
    pipes = {int(fd): Pipe(place) for place, fd in enumerate(sys.argv[1:])}
    poll = select.poll()
    for fd in pipes:
        poll.register(fd, select.POLLIN)
    left = len(pipes)
    while left:
        for fd, _ in poll.poll():
            if data := os.read(fd, READ_BYTES):
                pipes[fd].take(data)
            else:
                poll.unregister(fd)
                left -= 1
    Path("checked").write_text(json.dumps([pipe.taken_bytes for pipe in pipes.values()]))


if __name__ == "__main__":
    main()
