"""A worker that tells on standard output what each of its pipes brings.

Written from the contract alone: a 4-byte little-endian length, then that many bytes; at end of file there is no length.
Tells in units of (pipe, pid, length) as three little-endian numbers and the bytes; a length of -1 is the pipe's end, of
-2 an end in the middle of a record; -3 is the worker's start. Runs as a script: `recorder.py FD...`.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
from pathlib import Path

UNIT = struct.Struct("<iii")
PIPE_END, CUT_OFF, STARTED = -1, -2, -3

RECORDER = (sys.executable, "-I", "-S", str(Path(__file__).resolve()))
"""The command that runs this worker."""


def read_exactly(fd: int, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := os.read(fd, size - len(data))):
        data += more
    return data


def tell(pipe: int, length: int, record: bytes = b"") -> None:
    unit = UNIT.pack(pipe, os.getpid(), length) + record
    while unit:
        unit = unit[os.write(1, unit) :]


def record_pipe(pipe: int, fd: int, lock: threading.Lock) -> None:
    while head := read_exactly(fd, 4):
        size = int.from_bytes(head, "little")
        record = read_exactly(fd, size)
        with lock:
            if len(head) < 4 or len(record) < size:
                tell(pipe, CUT_OFF)
                return
            tell(pipe, size, record)
    with lock:
        tell(pipe, PIPE_END)


def main() -> None:
    lock = threading.Lock()
    tell(0, STARTED)
    readers = [threading.Thread(target=record_pipe, args=(pipe, int(fd), lock)) for pipe, fd in enumerate(sys.argv[1:])]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()


if __name__ == "__main__":
    main()
