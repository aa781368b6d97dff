"""Runs a handler for every record of every pipe: what a worker script calls.

Law: the handler is called in the pipe's order, once per record or batch; the pipes' end is the only normal end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

from trade_balancer.decoding import Record, decoded, decoded_batch
from trade_balancer.errors import TruncatedFrameError, WorkerError, report
from trade_balancer.pipes import batches
from trade_balancer.processes import fork_per_pipe


@overload
def run(
    handler: Callable[[Record, int], object], fds: Sequence[int] | None = None, *, processes: bool = False
) -> None: ...
@overload
def run(
    handler: Callable[[bytes, int], object],
    fds: Sequence[int] | None = None,
    *,
    raw: Literal[True],
    processes: bool = False,
) -> None: ...
@overload
def run(
    handler: Callable[[list[Record], int], object],
    fds: Sequence[int] | None = None,
    *,
    batch: Literal[True],
    processes: bool = False,
) -> None: ...
@overload
def run(
    handler: Callable[[list[bytes], int], object],
    fds: Sequence[int] | None = None,
    *,
    raw: Literal[True],
    batch: Literal[True],
    processes: bool = False,
) -> None: ...


def run(
    handler: Callable[[Any, int], object],
    fds: Sequence[int] | None = None,
    *,
    raw: bool = False,
    batch: bool = False,
    processes: bool = False,
) -> None:
    """Calls `handler(record, fd)` for every record until all pipes have ended, then returns.

    Args:
        handler: what to do with a record and the pipe it came from. An exception of its own ends the worker.
        fds: the pipes; by default the numbers that end the command line (`fds_of_command_line`).
        raw: hand over the record's bytes instead of the decoded dict.
        batch: hand over lists: all records that arrived in one read, at least one.
        processes: read each pipe in a forked process of its own; what the handler keeps in memory stays there.

    Raises:
        SystemExit: with the code of the `WorkerError` it has reported on standard error, for example 65 for a pipe
            that ended inside a frame (everything was handled) or a record that is no JSON object (all before it were).
    """
    consume = _consumer(handler, raw, batch)
    try:
        pipes = fds_of_command_line(sys.argv) if fds is None else fds
        if processes:
            _raise_truncated(fork_per_pipe(pipes, lambda fd: _truncation_of(consume, fd)))
        else:
            _consume_all(consume, pipes)
    except WorkerError as fault:
        raise SystemExit(report(fault)) from None


def fds_of_command_line(argv: Sequence[str]) -> list[int]:
    """The numbers at the end of the command line `argv` (program name first), where the balancer puts the pipes.

    A worker whose own last argument is a number has to tell `run` which fds it means.
    """
    fds: list[int] = []
    for argument in reversed(argv[1:]):
        if not (argument.isascii() and argument.isdigit()):
            break
        fds.append(int(argument))
    return fds[::-1]


_Consume = Callable[[list[bytes], int], None]


def _consumer(handler: Callable[[Any, int], object], raw: bool, batch: bool) -> _Consume:
    """The loop body for one batch; chosen once, so that nothing is decided per record."""

    def each_raw(records: list[bytes], fd: int) -> None:
        for record in records:
            handler(record, fd)

    def each_decoded(records: list[bytes], fd: int) -> None:
        for record in decoded(records, fd):
            handler(record, fd)

    def batch_raw(records: list[bytes], fd: int) -> None:
        handler(records, fd)

    def batch_decoded(records: list[bytes], fd: int) -> None:
        good, fault = decoded_batch(records, fd)
        if good:
            handler(good, fd)
        if fault is not None:
            raise fault

    return {
        (False, False): each_decoded,
        (True, False): each_raw,
        (False, True): batch_decoded,
        (True, True): batch_raw,
    }[raw, batch]


def _consume_all(consume: _Consume, fds: Sequence[int]) -> None:
    for fd, records in batches(fds):
        consume(records, fd)


def _truncation_of(consume: _Consume, fd: int) -> bytes:
    """Consumes one pipe; a truncated end is told to the parent as text, so that it lets the other processes finish."""
    try:
        _consume_all(consume, [fd])
    except TruncatedFrameError as fault:
        return str(fault).encode()
    return b""


def _raise_truncated(texts: list[bytes]) -> None:
    faults = [text.decode() for text in texts if text]
    if faults:
        raise TruncatedFrameError("; ".join(faults))
