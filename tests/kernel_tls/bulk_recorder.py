"""The harness's recorder, for many records: tells all that one read brought with one write.

In a guest kernel a system call costs so much that one per record would take most of a test's time. Runs as a script:
`bulk_recorder.py FD...`.
"""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))
from recorder import CUT_OFF, PIPE_END, STARTED, UNIT, tell

BULK_RECORDER = (sys.executable, "-I", "-S", str(Path(__file__).resolve()))
"""The command that runs this worker."""
READ_BYTES = 1 << 18


def tell_records(pipe: int, data: bytes) -> bytes:
    """Tell the whole records that `data` begins with; what is left of it."""
    pid, told, at = os.getpid(), bytearray(), 0
    while len(data) - at >= 4:
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        if end > len(data):
            break
        told += UNIT.pack(pipe, pid, end - at - 4) + data[at + 4 : end]
        at = end
    while told:
        del told[: os.write(1, told)]
    return data[at:]


def main() -> None:
    tell(0, STARTED)
    pipe_of = {int(fd): pipe for pipe, fd in enumerate(sys.argv[1:])}
    rests = dict.fromkeys(pipe_of, b"")
    poll = select.poll()
    for fd in pipe_of:
        poll.register(fd, select.POLLIN)
    while rests:
        for fd, _ in poll.poll():
            more = os.read(fd, READ_BYTES)
            if more:
                rests[fd] = tell_records(pipe_of[fd], rests[fd] + more)
                continue
            tell(pipe_of[fd], CUT_OFF if rests.pop(fd) else PIPE_END)
            poll.unregister(fd)


if __name__ == "__main__":
    main()
