"""Why a process ended: its exit code or signal, and what that means.

Law: pure; a number that says nothing gets no words.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

_SHELLS_OFFSET = 128
"""What shells, lb-lines and others add to the signal that ended what they ran."""

SIGNALS: Mapping[int, str] = {
    signal.SIGHUP: "its terminal or session has ended",
    signal.SIGINT: "interrupted",
    signal.SIGQUIT: "asked to quit and leave a core dump",
    signal.SIGILL: "an instruction that this CPU does not have: built for another one, or a bug in native code",
    signal.SIGTRAP: "a breakpoint, or a bug in native code",
    signal.SIGABRT: "gave up by itself: a failed assertion, or memory found damaged",
    signal.SIGBUS: "memory that can't be had: a mapped file cut off, a full disk under one, or a bug in native code",
    signal.SIGFPE: "a division by zero, or the like, in native code",
    signal.SIGUSR1: "a signal that it does not handle",
    signal.SIGUSR2: "a signal that it does not handle",
    signal.SIGSEGV: "a bug in native code: memory that is not its own",
    signal.SIGPIPE: "wrote where nobody reads any more, such as its standard output",
    signal.SIGALRM: "a timer that it does not handle",
    signal.SIGTERM: "asked to end, by a person or a service manager",
    signal.SIGXCPU: "over its limit of CPU time (RLIMIT_CPU)",
    signal.SIGXFSZ: "over its limit of a file's size (RLIMIT_FSIZE)",
    signal.SIGSYS: "a system call that it may not make (seccomp)",
}
"""SIGKILL is told apart: see explain()."""

EXIT_CODES: Mapping[int, str] = {
    0: "ended by itself, before its pipes did",
    1: "an error; in Python an exception: see its standard error",
    2: "an error; for many programs wrong arguments",
    os.EX_USAGE: "wrong arguments",
    os.EX_DATAERR: "wrong input",
    os.EX_NOINPUT: "an input that can't be read",
    os.EX_UNAVAILABLE: "something that it needs is not there",
    os.EX_SOFTWARE: "an internal error",
    os.EX_OSERR: "a system call that failed",
    os.EX_OSFILE: "a file of the system that can't be used",
    os.EX_CANTCREAT: "an output that can't be made",
    os.EX_IOERR: "an error of input or output, such as a full disk",
    os.EX_TEMPFAIL: "a failure that may pass",
    os.EX_PROTOCOL: "input that breaks its protocol",
    os.EX_NOPERM: "something that it may not do",
    os.EX_CONFIG: "its configuration is wrong",
    120: "Python could not write what it had printed",
    126: "a shell or the like could not run its program: it is not executable",
    127: "a shell or the like did not find its program",
    255: "an error, by exit(-1)",
}
"""Of sysexits.h, Python, and POSIX shells."""


def cause(status: int) -> dict[str, object]:
    """As the values of a log line; `status` is waitpid(2)'s."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return {"signal": _name(number) or number}
    return {"exit_code": os.WEXITSTATUS(status)}


def explain(status: int, *, oom_kills: int | None = None, sent: int | None = None) -> str | None:
    """In words; None where there is nothing to say.

    `oom_kills`: how many processes were killed for want of memory around it, while it ran; None where that is not
    known. `sent`: the signal that lb sent to it.
    """
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        words = "sent by lb" if number == sent else _of_signal(number, oom_kills)
        return f"{words}; core dumped" if words and os.WCOREDUMP(status) else words
    code = os.WEXITSTATUS(status)
    if code in EXIT_CODES:
        return EXIT_CODES[code]
    number = code - _SHELLS_OFFSET
    words = _of_signal(number, oom_kills)
    return f"what it ran was ended by {_name(number)}: {words}" if words else None


def _of_signal(number: int, oom_kills: int | None) -> str | None:
    if number != signal.SIGKILL:
        return SIGNALS.get(number)
    if oom_kills is None:
        return "killed, perhaps for want of memory"
    if oom_kills == 0:
        return "killed by a person or a service manager: no process was for want of memory meanwhile"
    return f"killed, most likely for want of memory: oom_kill rose by {oom_kills} meanwhile"


def _name(number: int) -> str | None:
    return next((known.name for known in signal.Signals if known == number), None)  # real-time signals but two: none
