"""The signals that stop lb, as a worker takes them.

Law: a worker ends when its pipes have ended, and lb ends them. Whoever stops lb and its workers at once (systemd does,
unless it is told KillMode=mixed) may not cost the results of what is still in the pipes.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
from types import FrameType

_STANDARD = (signal.SIG_DFL, signal.default_int_handler)


def outlive_stop_signals() -> None:
    """From now on SIGTERM does not end this process; nor do SIGINT and SIGHUP, if lb has started it (LB_PIPES is set).

    `run` and the ready-made workers begin with it; call it before a loop of your own (`batches`, `records`). A signal
    for which the program has a handler of its own, or which it ignores, is left alone: that is the way to react, or to
    opt out (`signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))` before `run`). In other threads than the main one,
    where Python sets no handlers, nothing happens.

    A terminal's ^C reaches lb alone: it starts each worker in a process group of its own. Without lb ^C is a
    KeyboardInterrupt, as in any program.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    numbers = [signal.SIGTERM]
    if "LB_PIPES" in os.environ:
        numbers += [signal.SIGINT, signal.SIGHUP]
    for number in numbers:
        if signal.getsignal(number) in _STANDARD:
            # Not SIG_IGN: it would outlive an exec, and SIGTERM could not end the programs that the worker starts.
            signal.signal(number, _go_on)
            signal.siginterrupt(number, False)
            # The interpreter's end takes handlers away, and a worker that has finished would still die by the signal.
            atexit.register(signal.signal, number, signal.SIG_IGN)


def is_free(number: int) -> bool:
    """Whether the program has left it to us what this signal does."""
    return signal.getsignal(number) in (*_STANDARD, _go_on)


def _go_on(_number: int, _frame: FrameType | None) -> None:
    pass
