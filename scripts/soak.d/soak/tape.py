"""Numbered records: the tape that the feed plays, and what a pipe must bring, byte for byte.

The feed plays records 0 to RECORDS - 1 in a loop, and from 0 on with every session. Dealt in turn to `pipes` pipes, the
records of a pipe follow each other in steps of `pipes`; so what a worker reads is a piece of one of `pipes` streams,
and only a new session may lead from the middle of one to the beginning of another. A worker compares whole reads with
the stream and needs no look at a record.

Law: bytes out, no processes; the worker (worker.py) reads the files and knows nothing else.
"""

from __future__ import annotations

from array import array
from itertools import accumulate
from pathlib import Path
from random import Random

from soak.worker import LONGEST_BYTES, READ_BYTES

RECORDS = 1 << 15

_LARGEST_MESSAGE = 100
_ODD = (
    '"a":{"b":[{"}":"]"},{}]}',
    '"a":"\\"},{\\"ev\\":\\"T\\""',
    '"a":"h\\\\"',
    '"a":"\u00e9\u20ac\U0001f600"',
)
"""Members that only the exact scanner can cut, in every tenth record."""


def record(number: int) -> bytes:
    """The record with this number. Its length differs from its neighbours'."""
    odd = _ODD[number // 10 % len(_ODD)] + "," if number % 10 == 0 else ""
    return f'{{"ev":"T","sym":"S{number % 997}","n":{number},{odd}"p":"{"x" * (number * 7 % 150)}"}}'.encode()


def framed(text: bytes) -> bytes:
    """As it stands in a pipe."""
    return len(text).to_bytes(4, "little") + text


def write_tape(path: Path, seed: int) -> None:
    """A message on each line, of 1 to 100 records."""
    random = Random(seed)
    number = 0
    with path.open("wb") as file:
        while number < RECORDS:
            end = min(number + random.randint(1, _LARGEST_MESSAGE), RECORDS)
            file.write(b"[" + b",".join(map(record, range(number, end))) + b"]\n")
            number = end


def write_streams(folder: Path, pipes: int) -> None:
    """Files `stream-R` with the records R, R + pipes, R + 2 * pipes ... and once more the first of them, as many as a
    read can hold; and `starts-R`, where each of them begins, and the last one ends."""
    assert RECORDS % pipes == 0
    for residue in range(pipes):
        frames = [framed(record(number)) for number in range(residue, RECORDS, pipes)]
        over, size = 0, 0
        while size <= READ_BYTES + LONGEST_BYTES:
            size += len(frames[over])
            over += 1
        frames += frames[:over]
        (folder / f"stream-{residue}").write_bytes(b"".join(frames))
        starts = array("Q", accumulate(map(len, frames), initial=0))
        (folder / f"starts-{residue}").write_bytes(starts.tobytes())
