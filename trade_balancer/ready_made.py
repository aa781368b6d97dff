"""What the ready-made workers share: a command line, one process or one per pipe, a summary at the end.

Law: a fault of the input takes nothing away from what came before it: output and summary are written first. Only a
forked process that fails takes its results with it.
"""

from __future__ import annotations

import argparse
import pickle
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from trade_balancer.acknowledgement import Unfinished
from trade_balancer.command import Parser
from trade_balancer.control import attach
from trade_balancer.errors import OutputError, TruncatedFrameError, WorkerError, report, tell
from trade_balancer.output import LineOutput, replace_file
from trade_balancer.pipes import READ_BYTES, Batch, Pipes, check_fds
from trade_balancer.processes import fork_per_pipe
from trade_balancer.signals import outlive_stop_signals
from trade_balancer.skips import Skips
from trade_balancer.sources import add_options, source_of
from trade_balancer.tally import Tally

_EPILOG = """\
Each FD is the read end of a pipe of frames: 4 bytes, little-endian, the length in bytes of the JSON object that
follows. lb starts the worker so; when all pipes have ended, the worker finishes. SIGTERM does not end it before, and
if lb has started it, SIGINT and SIGHUP do not either. A record that is no JSON object is shown on standard error,
counted, and passed over.

exit codes: 0 all pipes ended; 64 usage; 65 a pipe ended inside a frame; 69 no lb there (--attach), no broker or no
topic; 74 input or output failed; 76 lb speaks another version of the protocol; 77 lb is another user's; with
--processes also the code of a process that failed, 128 + N after signal N."""

_SUMMARY_HELP = """\
replace FILE at the end, in one step, by one JSON object: records; bytes (of records, without their 4-byte lengths);
events; records_per_fd; unusable, the records that are no JSON object; lag_ms with p50, p99 and max (ms, wall clock at
reading minus the record's t, sampled once per read, null when no record had a t){more} (default: no summary)"""


class Worker(ABC):
    """A worker's own part: its options, what it does with what it reads, and what it has to say at the end.

    `output` is what `open_output` has opened, in the process that was started: forked ones share it.
    """

    description: str
    output_help: str
    summary_help: str = ""
    idle_s: float | None = None
    """After how long without a record `take` is called with none."""
    read_bytes = READ_BYTES
    may_read_kafka = True
    finishes_later = False
    """With `lb --redeliver`, what a round brought is finished when the next one is taken; or, if so, when the worker
    has told `unfinished`."""

    def __init__(self, output: Any) -> None:
        self.output = output
        self.unfinished = Unfinished()
        self.tally = Tally()
        self.skips = Skips("skip")

    @property
    def has_failed(self) -> bool:
        """Whether output has failed: what was taken before may be lost, though no later call fails."""
        return any(isinstance(fault, OutputError) for fault in self.tally.faults)

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        text = f"append {cls.output_help} (default: standard output)"
        parser.add_argument("--output", metavar="FILE", type=Path, help=text)

    @staticmethod
    def open_output(options: argparse.Namespace) -> AbstractContextManager[Any]:
        """Opened before anything is read, so that what can't be written is told at once.

        Raises:
            WorkerError: what the options name can't be used.
        """
        return LineOutput(options.output)

    @abstractmethod
    def read(self, pipes: Pipes) -> None:
        """Reads the pipes to their ends, deals with what comes, and counts it; `skips` gets what can't be decoded."""

    @abstractmethod
    def finish(self) -> None:
        """Deals with what is still open when the input has ended, in the process that read it."""

    @staticmethod
    @abstractmethod
    def conclude(total: Tally, output: Any) -> dict[str, Any]:
        """Writes what only the total of all processes can tell; returns the worker's own part of the summary."""


class ReadyMade(Worker):
    """A worker that takes records as bytes."""

    @abstractmethod
    def take(self, round_: list[Batch]) -> None:
        """Deals with what one round of reads brought, and counts its events; `skips` gets what can't be decoded."""

    def read(self, pipes: Pipes) -> None:
        for round_ in pipes.rounds(self.idle_s):
            for _, records in round_:
                self.tally.note_lag(records)
            self.take(round_)


def serve(kind: type[Worker], argv: Sequence[str] | None = None) -> int:
    """Runs a ready-made worker from its command line to its exit code."""
    parser = _parser(kind)
    options = parser.parse_args(argv)
    options.kafka = getattr(options, "kafka", None)
    if bool(options.fds) == (options.attach is not None or options.kafka is not None):
        parser.error("FDs are wanted, or --attach, or --kafka, and not two of them")
    outlive_stop_signals()
    try:
        with source_of(options) as source:
            options.fds += source or ()
            check_fds(options.fds)
            _serve(kind, options)
    except WorkerError as fault:
        return report(fault)
    return 0


def _serve(kind: type[Worker], options: argparse.Namespace) -> None:
    with kind.open_output(options) as output:
        if options.processes:
            total = Tally()
            for state in fork_per_pipe(options.fds, lambda fd: _drain_one(kind(output), fd)):
                total.add(pickle.loads(state))
        else:
            total = drain(kind(output), options.fds)
        own_summary = kind.conclude(total, output)
    if options.summary:
        replace_file(options.summary, total.summary() | own_summary)
    if total.unusable:
        tell(f"{total.unusable} of {total.records} records were unusable")
    if total.faults:
        raise total.faults[0] if len(total.faults) == 1 else TruncatedFrameError("; ".join(map(str, total.faults)))


def drain(worker: Worker, fds: Sequence[int]) -> Tally:
    """Feeds the worker until its pipes have ended or its input is at fault; the tally says which."""
    tally = worker.tally
    pipes = Pipes(fds, acknowledge=not worker.finishes_later, read_bytes=worker.read_bytes)
    if worker.finishes_later:
        worker.unfinished.watch(pipes.cutters)
    try:
        worker.read(pipes)
        pipes.check_ends()
    except WorkerError as fault:
        tally.faults.append(fault)
    worker.finish()
    tally.unusable += worker.skips.undecodable_total
    tally.records_per_fd = {fd: cutter.records_total for fd, cutter in pipes.cutters.items()}
    tally.bytes_total = sum(cutter.bytes_total for cutter in pipes.cutters.values())
    return tally


def _drain_one(worker: Worker, fd: int) -> bytes:
    """The tally of one pipe for the parent; a truncated end is raised there, when all pipes have ended."""
    tally = drain(worker, [fd])
    for fault in tally.faults:
        if not isinstance(fault, TruncatedFrameError):
            raise fault
    return pickle.dumps(tally)


def _parser(kind: type[Worker]) -> argparse.ArgumentParser:
    parser = Parser(description=kind.description, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    kind.add_options(parser)
    parser.add_argument("--summary", metavar="FILE", type=Path, help=_SUMMARY_HELP.format(more=kind.summary_help))
    parser.add_argument(
        "--processes",
        action="store_true",
        help="read each pipe in a forked process of its own (default: one process for all)",
    )
    (add_options if kind.may_read_kafka else attach.add_options)(parser)
    parser.add_argument("fds", metavar="FD", type=int, nargs="*", help="file descriptor number of a pipe's read end")
    return parser
