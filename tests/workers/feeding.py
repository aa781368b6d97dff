"""Stands in for the balancer: frames records, starts a worker on real pipes, feeds them and waits for its end."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

import trade_balancer

ROOT = Path(trade_balancer.__file__).parents[1]

# A record as the protocol knows it: any bytes. Long ones are rare, so that the many short cases stay fast.
any_record = st.binary(max_size=40) | st.integers(0, 70_000).map(lambda size: b"x" * size)


def framed(records: Sequence[bytes]) -> bytes:
    return b"".join(len(record).to_bytes(4, "little") + record for record in records)


def decoded_simply(stream: bytes) -> list[bytes]:
    """The reference: the protocol's two sentences, word by word, on a whole stream."""
    records = []
    while len(stream) >= 4:
        length = int.from_bytes(stream[:4], "little")
        if len(stream) < 4 + length:
            break
        records.append(stream[4 : 4 + length])
        stream = stream[4 + length :]
    return records


@st.composite
def cut_streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream of frames, whole or truncated, and the chunks it arrives in."""
    stream = framed(draw(st.lists(any_record, max_size=12)))
    stream = stream[: draw(st.just(len(stream)) | st.integers(0, len(stream)))]
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    edges = [0, *cuts, len(stream)]
    return stream, [stream[start:stop] for start, stop in pairwise(edges)]


@contextmanager
def pipes_with(streams: Sequence[Sequence[bytes]]) -> Iterator[list[int]]:
    """Read ends of real pipes; threads write each pipe's chunks, however small the pipe is, and close it."""
    read_ends, writers = _start_writers(streams)
    try:
        yield read_ends
    finally:
        for read_end in read_ends:
            os.close(read_end)
        for writer in writers:
            writer.join()


@contextmanager
def filled_pipes(streams: Sequence[bytes]) -> Iterator[list[int]]:
    """Read ends of pipes that hold their stream, of 64 KiB at most, and end behind it. No thread still holds a write
    end, which a process that is forked meanwhile would have too: its pipes would never end."""
    pairs = [os.pipe() for _ in streams]
    for (_, write_end), stream in zip(pairs, streams, strict=True):
        assert os.write(write_end, stream) == len(stream)
        os.close(write_end)
    read_ends = [read_end for read_end, _ in pairs]
    try:
        yield read_ends
    finally:
        for read_end in read_ends:
            os.close(read_end)


def _start_writers(streams: Sequence[Sequence[bytes]]) -> tuple[list[int], list[threading.Thread]]:
    pairs = [os.pipe() for _ in streams]
    writers = [
        threading.Thread(target=_write_all, args=(write_end, chunks))
        for (_, write_end), chunks in zip(pairs, streams, strict=True)
    ]
    for writer in writers:
        writer.start()
    return [read_end for read_end, _ in pairs], writers


def _write_all(write_end: int, chunks: Sequence[bytes]) -> None:
    try:
        for chunk in chunks:
            left = memoryview(chunk)
            while left:
                left = left[os.write(write_end, left) :]
    except BrokenPipeError:
        pass  # the reader gave up: what a test of a fault expects
    finally:
        os.close(write_end)


@contextmanager
def ready_worker(
    arguments: Sequence[str | Path], pipes: int = 1, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A worker that has said READY, and the write ends of its pipes, for the test to close."""
    ours, channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pairs = [os.pipe() for _ in range(pipes)]
    read_ends = [read_end for read_end, _ in pairs]
    told = {"LB_CHANNEL": str(channel.fileno())} | dict(environment or {})
    worker = start_worker(arguments, read_ends, told, pass_fds=[channel.fileno()])
    for end in (*read_ends, channel.detach()):
        os.close(end)
    with ours, worker:
        try:
            assert ours.recv(100) == b"READY", worker.communicate()
            yield worker, [write_end for _, write_end in pairs]
        finally:
            worker.kill()


@dataclass
class Finished:
    """A worker that has ended: exit code (negative: signal), standard output and error, the fds it was given."""

    code: int
    out: str
    err: str
    fds: list[int]


def start_worker(
    arguments: Sequence[str | Path],
    fds: Sequence[int],
    environment: Mapping[str, str] | None = None,
    program: Sequence[str] = (sys.executable,),
    **options: Any,
) -> subprocess.Popen[str]:
    """Starts `python ARGUMENTS... FD FD ...` as the balancer starts a worker; its output goes to pipes."""
    return subprocess.Popen(
        [*program, *map(str, arguments), *map(str, fds)],
        pass_fds=[*fds, *options.pop("pass_fds", ())],
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
        | dict(environment or {}),
        text=True,
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options,
    )


def run_worker(arguments: Sequence[str | Path], streams: Sequence[bytes], **options: Any) -> Finished:
    """Runs a worker on one pipe per stream until it has ended."""
    fds, writers = _start_writers([[stream] for stream in streams])
    worker = start_worker(arguments, fds, **options)
    for fd in fds:
        os.close(fd)  # only the worker reads now: if it dies, the pipe breaks and the writer ends as well
    out, err = worker.communicate()
    for writer in writers:
        writer.join()
    return Finished(worker.returncode, out, err, fds)
