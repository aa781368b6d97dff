"""`lb-record`: records what a running lb receives, with the times of its receiving, in files that zstd alone can read.

Law: nothing is decoded, nothing is left out; what could not be had is counted, in its place. The feed waits for no
recorder that has joined (`lb-record PATH`); for one that lb has started (`--worker`) it is as --on-full says.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trade_balancer.acknowledgement import Unfinished
from trade_balancer.command import Parser, natural, topics_of
from trade_balancer.control import Control
from trade_balancer.control.attach import attach, until_signals
from trade_balancer.errors import WorkerError, report, tell
from trade_balancer.line_files import Rotation
from trade_balancer.part_files import check_folder, file_name
from trade_balancer.pipes import Pipes
from trade_balancer.ready_made import Worker, serve
from trade_balancer.tally import Tally, stamp_ms_of

if TYPE_CHECKING:
    from trade_balancer.recording.files import RecordingFiles, Settings

_TICK_S = 1.0
_BACKLOG_BYTES = 1 << 26  # the most that lb grants
_BLOCK_MOST_BYTES = 1 << 26
_SHOWN_BYTES = 200
_ZSTD_LEVELS = 20  # those above 19 want hundreds of MiB of memory
_PIPE_BYTES = 1 << 20

_DESCRIPTION = """\
Records what a running lb receives: the records as they came, with the times at which they were received, in files
called PREFIX-YYYYMMDDTHHMMSSZ-PID-N.jsonl.zst after the time (UTC) of their first record. `zstd -dc` makes lines of
them, lb-replay plays them, docs/recording.md says what is in them. A file is called so when it is complete and on the
disk, and before that ...jsonl.zst.part; what a crash has left so is completed at the next start.

It joins lb by its control socket, PATH (lb --control PATH), with the TOPICs that it is given, and ends with lb, or
with SIGINT or SIGTERM. lb never waits for it: where it, or its disk, is too slow, records are dropped and counted, and
a record {"ev":"lb","dropped":N} stands in their place. `lb-record --worker` is a worker that lb starts:
`lb-record --worker --help`. `lb-record verify A B` tells whether two recordings hold the same records."""

_EPILOG = """\
A time is the clock of the recorder (CLOCK_REALTIME, ns) when it had read a batch: all records that one read brought
have the same.

exit codes: 0 done; 64 usage; 69 no lb there, or a package is missing; 74 a file can't be written; 77 lb is another
user's"""


class Record(Worker):
    """The records of all pipes of a process."""

    description = """\
Records what it gets, as `lb-record PATH` does; a worker that lb starts. Records of a pipe keep their order."""
    summary_help = "; files and file_bytes, of complete files, as they lie on the disk"
    finishes_later = True
    output: Callable[[], RecordingFiles]

    def __init__(self, output: Callable[[], RecordingFiles]) -> None:
        super().__init__(output)
        self._files = output()

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        _add_file_options(parser)

    @staticmethod
    def open_output(options: argparse.Namespace) -> AbstractContextManager[Callable[[], RecordingFiles]]:
        settings = _settings(options, {"worker": True})
        from trade_balancer.recording.files import RecordingFiles  # only here: an extra

        return contextlib.nullcontext(partial(RecordingFiles, settings))

    def read(self, pipes: Pipes) -> None:
        for count in recorded(pipes, self._files, self.unfinished):
            stamp_ms = stamp_ms_of(self._files.last_record)
            if stamp_ms is not None:
                self.tally.note_stamp(stamp_ms, count)

    def finish(self) -> None:
        self._files.close()
        if not self.has_failed:
            self.unfinished.finish(self.unfinished.mark())
        self.tally.results.update(files=self._files.files_total, file_bytes=self._files.bytes_total)

    @staticmethod
    def conclude(total: Tally, output: Any) -> dict[str, Any]:
        return {name: total.results[name] for name in ("files", "file_bytes")}


def recorded(pipes: Pipes, files: RecordingFiles, unfinished: Unfinished) -> Iterator[int]:
    """Records the pipes to their ends; after each read, how many records it was. What a written block has is finished.

    Raises:
        ReadError, OutputError: at once.
    """
    taken = unfinished.mark()
    for ready in pipes.readable(_TICK_S):
        fds: list[int | None] = [*ready] or [None]  # at idle times, too, blocks become old
        for fd in fds:
            before = pipes.records_total
            frames = None if fd is None else pipes.read_frames(fd)
            now_ns = time.time_ns()
            files.tick(now_ns)
            if unfinished.is_much():
                files.flush(now_ns)
            if files.is_flushed:
                unfinished.finish(taken)
            if frames:
                files.add(frames, now_ns)
                taken = unfinished.mark()
                yield pipes.records_total - before


def main(argv: Sequence[str] | None = None) -> int:
    """`lb-record PATH [TOPIC...]`, `lb-record --worker FD...` or `lb-record verify A B`; returns the exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    if "--worker" in words:
        return serve(Record, [word for word in words if word != "--worker"])
    if words[:1] == ["verify"]:
        return _verify(words[1:])
    options = _parser().parse_intermixed_args(words)
    topics = topics_of(options.topics) or ["*"]
    try:
        _join(options, topics)
    except WorkerError as fault:
        return report(fault)
    return 0


def _verify(words: Sequence[str]) -> int:
    parser = Parser(
        prog="lb-record verify",
        description="Compares two recordings, or folders of them: whether the records are the same, byte by byte and "
        "in the same order, whenever they were received.",
        epilog="exit codes: 0 the same; 1 not; 64 usage; 66 one can't be read, or is damaged",
    )
    for name in ("ours", "theirs"):
        parser.add_argument(name, metavar=name.upper(), type=Path)
    options = parser.parse_args(words)
    try:
        from trade_balancer.recording.comparison import compare  # only here: an extra

        found = compare(options.ours, options.theirs)
    except WorkerError as fault:
        return report(fault)
    if found.is_same:
        print(f"the same {found.same_total} records")
        return 0
    print(f"the first {found.same_total} records are the same, and then stands")
    for path, record in ((options.ours, found.ours), (options.theirs, found.theirs)):
        print(f"  {path}: {'its end' if record is None else repr(record[:_SHOWN_BYTES])}")
    return 1


def _join(options: argparse.Namespace, topics: Sequence[str]) -> None:
    with Control(options.path) as control:
        feed = control.ask("status")["session"]["url"]
    settings = _settings(options, {"feed": feed, "topics": topics})
    from trade_balancer.recording.files import RecordingFiles  # only here: an extra

    files = RecordingFiles(settings)
    join = partial(
        attach, options.path, topics,
        policy=options.policy, markers=True, pipe_size=_PIPE_BYTES, backlog=options.backlog,
    )  # fmt: skip
    with until_signals(join) as reader:
        try:
            for _ in recorded(Pipes(reader.fds), files, Unfinished()):
                pass
        finally:
            files.close()
        reader.leave()
    dropped = f", {files.dropped_total} dropped: too slow" if files.dropped_total else ""
    tell(f"{files.records_total} records in {files.files_total} files of {files.bytes_total} bytes{dropped}")


def _settings(options: argparse.Namespace, about: dict[str, Any]) -> Settings:
    """Checked; what an earlier run has left behind is completed, and told."""
    check_folder(options.directory)
    from trade_balancer.recording.files import Settings  # only here: an extra
    from trade_balancer.recording.left_over import complete_left_over

    for told in complete_left_over(options.directory, options.prefix):
        tell(told)
    return Settings(
        options.directory,
        options.prefix,
        Rotation(options.max_bytes, options.every),
        options.zstd,
        options.block_bytes,
        options.sync,
        {"recorder": "lb-record", "clock": "CLOCK_REALTIME when a batch had been read", **about},
    )


def _add_file_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--directory", metavar="DIR", type=Path, default=Path(), help="where the files are written (default: here)")
    add("--prefix", type=file_name, default="recording", help="what their names begin with (default: recording)")
    add(
        "--max-bytes",
        metavar="BYTES",
        type=natural,
        default=1 << 28,
        help="begin a new file once this one has so many bytes on the disk; 0 is never (default: 268435456)",
    )
    add(
        "--every",
        metavar="S",
        type=natural,
        default=3600,
        help="begin a new file at every full S seconds of the clock, UTC; 0 is never (default: 3600)",
    )
    add(
        "--zstd",
        metavar="LEVEL",
        type=int,
        choices=range(1, _ZSTD_LEVELS),
        default=1,
        help="how hard to compress: 1 is fast, 19 small (default: 1)",
    )
    add(
        "--block-bytes",
        metavar="BYTES",
        type=_block_bytes,
        default=1 << 20,
        help="write a block once its lines have so many bytes, or are a second old (default: 1048576)",
    )
    add(
        "--sync",
        metavar="S",
        type=natural,
        default=5,
        help="have what was written on the disk (fdatasync) every S seconds, and not only when a file is complete; "
        "0: only then (default: 5)",
    )


def _block_bytes(text: str) -> int:
    number = int(text)
    if not 1 <= number <= _BLOCK_MOST_BYTES:
        raise argparse.ArgumentTypeError(f"{number} is outside of 1 to {_BLOCK_MOST_BYTES}")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="lb-record", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--policy",
        choices=("drop-oldest", "drop-newest"),
        default="drop-oldest",
        help="what is dropped where the recorder is too slow: the older half of what waits in lb, or what comes "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--backlog",
        metavar="BYTES",
        type=natural,
        default=_BACKLOG_BYTES,
        help="how much may wait in lb, at most 67108864; the longer may a disk keep silent (default: 67108864)",
    )
    _add_file_options(parser)
    parser.add_argument("path", metavar="PATH", help="of the socket, as in lb --control PATH")
    parser.add_argument("topics", metavar="TOPIC", nargs="*", help="such as T.AAPL or Q.* (default: all that lb gets)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
