"""What ends a worker early, and with which exit code (sysexits.h).

Law: every text names the pipe's fd, the numbers and their unit; `exit_code` is all that the caller needs to obey.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


class WorkerError(Exception):
    """A worker cannot go on, or has lost input; `exit_code` is what its process should exit with."""

    exit_code = os.EX_SOFTWARE


class PipeError(WorkerError):
    """A number on the command line is no readable file descriptor (exit code 64)."""

    exit_code = os.EX_USAGE


class UsageError(WorkerError):
    """An option's value is not to be used (exit code 64)."""

    exit_code = os.EX_USAGE


class TruncatedFrameError(WorkerError):
    """A pipe ended inside a frame (exit code 65). Raised once all pipes ended and all whole records were handed out."""

    exit_code = os.EX_DATAERR


class RecordError(WorkerError):
    """A record is not one JSON object (exit code 65). Every other record that was read with it was handed out."""

    exit_code = os.EX_DATAERR


class ProtocolError(WorkerError):
    """The pipes, or the channel to lb, are not what this SDK knows (exit code 76)."""

    exit_code = os.EX_PROTOCOL


class ReadError(WorkerError):
    """The kernel refused to read a pipe (exit code 74)."""

    exit_code = os.EX_IOERR


class InputError(WorkerError):
    """A file is missing, unreadable, or not what it should be (exit code 66)."""

    exit_code = os.EX_NOINPUT


class NoBalancerError(WorkerError):
    """No lb answers at this path, or it has ended (exit code 69)."""

    exit_code = os.EX_UNAVAILABLE


class UnavailableError(WorkerError):
    """What a program reads from or writes to is not there, or can't be used here (exit code 69)."""

    exit_code = os.EX_UNAVAILABLE


class RefusedError(WorkerError):
    """lb does not do what was asked on its control socket. `name` is the error's, for programs (docs/control.md)."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name
        self.exit_code = _EXIT_CODES.get(name, os.EX_UNAVAILABLE)


_EXIT_CODES = {
    **dict.fromkeys(("bad-argument", "unknown-verb", "malformed", "too-long"), os.EX_USAGE),
    "forbidden": os.EX_NOPERM,
    "version": os.EX_PROTOCOL,
}


class OutputError(WorkerError):
    """Results cannot be written: a closed standard output, a full disk (exit code 74)."""

    exit_code = os.EX_IOERR


class ChildError(WorkerError):
    """A forked process ended before its pipe did; exit code as the child's, or 128 + the signal that killed it."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class MissingExtraError(WorkerError, ImportError):
    """A package is not installed that is wanted for this part of the SDK alone (exit code 69)."""

    exit_code = os.EX_UNAVAILABLE

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f"{what} needs the package {package}: pip install 'trade-balancer[{extra}]'")


def report(fault: WorkerError) -> int:
    """Says in one line on standard error what happened, after the program's name; returns the exit code for it."""
    tell(str(fault))
    return fault.exit_code


def tell(text: str) -> None:
    """A line on standard error, after the program's name: one write, so that lines of several processes stay whole."""
    print(f"{Path(sys.argv[0]).name}: {text}\n", end="", file=sys.stderr, flush=True)
