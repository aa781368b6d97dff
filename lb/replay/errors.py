"""What can be wrong with what the user asked for. Each class carries the exit code (sysexits.h) of its kind."""

import os


class ReplayError(Exception):
    """A fault that one line of text explains; the root of this package's errors."""

    exit_code = os.EX_SOFTWARE


class UsageError(ReplayError):
    """The command line or an argument contradicts itself or is out of range."""

    exit_code = os.EX_USAGE


class InputError(ReplayError):
    """A file is missing, unreadable, or holds something other than one JSON array of objects per line."""

    exit_code = os.EX_NOINPUT


class UnavailableError(ReplayError):
    """The machine refuses what is needed: a port in use, an address that is not ours, a missing package."""

    exit_code = os.EX_UNAVAILABLE
