"""Runs a handler for every record of every pipe: what a worker script calls.

Law: the handler is called in the pipe's order, once per record or batch; the pipes' end is the only normal end.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import length_hint
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from trade_balancer import columnar
from trade_balancer.decoding import Decode, Record, decoder
from trade_balancer.errors import TruncatedFrameError, WorkerError, report, tell
from trade_balancer.pipes import Pipes
from trade_balancer.processes import fork_per_pipe
from trade_balancer.signals import outlive_stop_signals
from trade_balancer.skips import OnError, Skips
from trade_balancer.sources import source_of_command_line

if TYPE_CHECKING:
    from trade_balancer.columnar.batch import Batch

_T = TypeVar("_T")


@dataclass(frozen=True)
class Totals:
    """What `run` has read: all records; those of them that could not be decoded; those that the handler failed on."""

    records: int = 0
    undecodable: int = 0
    failed: int = 0

    def __add__(self, other: Totals) -> Totals:
        return Totals(self.records + other.records, self.undecodable + other.undecodable, self.failed + other.failed)

    def __str__(self) -> str:
        return (
            f"{self.records} records, {self.undecodable + self.failed} of them skipped: "
            f"{self.undecodable} undecodable, {self.failed} by failures of the handler"
        )


@overload
def run(
    handler: Callable[[Record, int], object],
    fds: Sequence[int] | None = None,
    *,
    processes: bool = False,
    acknowledge: bool = True,
    on_error: OnError | None = None,
) -> Totals: ...
@overload
def run(
    handler: Callable[[bytes, int], object],
    fds: Sequence[int] | None = None,
    *,
    raw: Literal[True],
    processes: bool = False,
    acknowledge: bool = True,
    on_error: OnError | None = None,
) -> Totals: ...
@overload
def run(
    handler: Callable[[_T, int], object],
    fds: Sequence[int] | None = None,
    *,
    decode: Callable[[bytes], _T],
    processes: bool = False,
    acknowledge: bool = True,
    on_error: OnError | None = None,
) -> Totals: ...
@overload
def run(
    handler: Callable[[list[Record], int], object],
    fds: Sequence[int] | None = None,
    *,
    batch: Literal[True],
    processes: bool = False,
    acknowledge: bool = True,
    on_error: OnError | None = None,
) -> Totals: ...
@overload
def run(
    handler: Callable[[list[bytes], int], object],
    fds: Sequence[int] | None = None,
    *,
    raw: Literal[True],
    batch: Literal[True],
    processes: bool = False,
    acknowledge: bool = True,
    on_error: OnError | None = None,
) -> Totals: ...
@overload
def run(
    handler: Callable[[list[_T], int], object],
    fds: Sequence[int] | None = None,
    *,
    decode: Callable[[bytes], _T],
    batch: Literal[True],
    processes: bool = False,
    acknowledge: bool = True,
    on_error: OnError | None = None,
) -> Totals: ...


@overload
def run(
    handler: Callable[[Batch, int], object],
    fds: Sequence[int] | None = None,
    *,
    columns: Sequence[str],
    processes: bool = False,
    acknowledge: bool = True,
    on_error: OnError | None = None,
) -> Totals: ...


def run(
    handler: Callable[[Any, int], object],
    fds: Sequence[int] | None = None,
    *,
    raw: bool = False,
    decode: Callable[[bytes], Any] | None = None,
    columns: Sequence[str] | None = None,
    batch: bool = False,
    processes: bool = False,
    acknowledge: bool = True,
    on_error: OnError | None = None,
) -> Totals:
    """Calls `handler(record, fd)` for every record until all pipes have ended, then returns what was read.

    SIGTERM does not end it: see `outlive_stop_signals`, also for how to react to it.

    Args:
        handler: what to do with a record and the pipe it came from.
        fds: the pipes; by default the numbers that end the command line (`fds_of_command_line`). Where it has
            `--attach PATH [--topics TOPICS]` instead, the records of a running lb (`attach`), until SIGINT or SIGTERM:
            so a worker can be tried beside a service. Where it has `--kafka BROKERS --topic TOPIC --group NAME`, those
            of a topic (docs/past-one-machine.md).
        raw: hand over the record's bytes instead of the decoded dict.
        decode: hand over what this makes of the record's bytes, for example `trade_balancer.typed.decode`. Whatever
            exception it raises says that the record can't be decoded.
        columns: hand over batches of these columns, see `trade_balancer.columns`; all columns if it is empty. A record
            that is in no table is among the batch's `others`, also one that can't be decoded.
        batch: hand over lists: all records that arrived in one read, at least one.
        processes: read each pipe in a forked process of its own; what the handler keeps in memory stays there.
        acknowledge: with `lb --redeliver`, a batch is acknowledged once its last record is handled, and no other worker
            gets it then. False: the program says what it has finished, by `trade_balancer.acknowledge`.
        on_error: what follows an exception, which is shown on standard error with the record (its first 240 bytes; of a
            batch, the first record) and counted in any case. A flood of them is counted, but not all shown.

            "skip": the next record, or batch.
            "raise": the worker's end, and lb starts it again. An exception of the handler ends it at once, with a note
            that says how many records of the same read are not handled; a record that can't be decoded ends it when
            all others of its read have been handled.
            None, the default: "skip" for a record that can't be decoded, for it is the feed's, a new process would get
            no better one, and lb holds up the feed while there is none; "raise" for an exception of the handler, for
            nobody knows what it has left half done, and a new process begins with nothing.

    Raises:
        SystemExit: with the code of the `WorkerError` it has reported on standard error, for example 65 for a pipe
            that ended inside a frame (everything was handled).
    """
    outlive_stop_signals()
    read: _Read = partial(_read, (_as_a_batch if batch else _one_by_one)(handler, decoder(raw, decode)), acknowledge)
    if columns is not None:
        read = partial(_read_columns, handler, columns, acknowledge)
    try:
        with source_of_command_line(sys.argv if fds is None else []) as source:
            pipes = source or (fds_of_command_line(sys.argv) if fds is None else fds)
            if processes:
                pickled = fork_per_pipe(pipes, lambda fd: pickle.dumps(read([fd], Skips(on_error))))
                parts = [pickle.loads(part) for part in pickled]
            else:
                parts = [read(pipes, Skips(on_error))]
        totals = sum((part.totals for part in parts), Totals())
        if totals.undecodable or totals.failed:
            tell(str(totals))
        if truncated := [part.truncated for part in parts if part.truncated]:
            raise TruncatedFrameError("; ".join(truncated))
    except WorkerError as fault:
        raise SystemExit(report(fault)) from None
    return totals


def fds_of_command_line(argv: Sequence[str]) -> list[int]:
    """The numbers at the end of the command line `argv` (program name first), where the balancer puts the pipes.

    None is looked at: whoever reads them finds out whether they are pipes. A worker whose own last argument is a number
    has to tell `run` which fds it means.
    """
    fds: list[int] = []
    for argument in reversed(argv[1:]):
        if not (argument.isascii() and argument.isdigit()):
            break
        fds.append(int(argument))
    return fds[::-1]


@dataclass(frozen=True)
class _Part:
    """What one process has read, and which of its pipes ended inside a frame, in words."""

    totals: Totals
    truncated: str


_Read = Callable[[Sequence[int], Skips], _Part]
_Consume = Callable[[list[bytes], int, Skips], None]


def _read(consume: _Consume, acknowledge: bool, fds: Sequence[int], skips: Skips) -> _Part:
    pipes = Pipes(fds, acknowledge=acknowledge)
    for fd, records in pipes.batches():
        consume(records, fd, skips)
        skips.raise_fault()
    return _Part(Totals(pipes.records_total, skips.undecodable_total, skips.failed_total), pipes.truncated())


def _read_columns(
    handler: Callable[[Any, int], object], names: Sequence[str], acknowledge: bool, fds: Sequence[int], skips: Skips
) -> _Part:
    source = columnar.columns(fds, *names, acknowledge=acknowledge)
    for batch in source.batches():
        for record in batch.others.bad():
            skips.undecodable(record, batch.fd, "not a JSON object")
        try:
            handler(batch, batch.fd)
        except Exception as error:
            if not skips.failure(error, batch.fd, len(batch), repr(batch), 0):
                raise
        skips.raise_fault()
    pipes = source.pipes
    return _Part(Totals(pipes.records_total, skips.undecodable_total, skips.failed_total), pipes.truncated())


def _one_by_one(handler: Callable[[Any, int], object], decode: Decode) -> _Consume:
    def consume(records: list[bytes], fd: int, skips: Skips) -> None:
        rest = iter(records)
        for record in decode(rest, fd, skips):
            try:
                handler(record, fd)
            except Exception as error:
                left = length_hint(rest)
                if not skips.failure(error, fd, 1, records[-1 - left], left):
                    raise

    return consume


def _as_a_batch(handler: Callable[[Any, int], object], decode: Decode) -> _Consume:
    def consume(records: list[bytes], fd: int, skips: Skips) -> None:
        batch = list(decode(records, fd, skips))
        if not batch:
            return
        try:
            handler(batch, fd)
        except Exception as error:
            if not skips.failure(error, fd, len(batch), records[0], 0):
                raise

    return consume
