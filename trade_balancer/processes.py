"""One forked process per pipe, and what they leave.

Law: no child outlives its parent (PR_SET_PDEATHSIG, prctl(2)), and none outlives a failed sibling: the pipes are about
to get a new worker, and two readers on one pipe would tear its records apart.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

from trade_balancer.channel import say_ready
from trade_balancer.errors import ChildError, WorkerError, report
from trade_balancer.frames import LENGTH_BYTES, FrameCutter
from trade_balancer.pipes import check_fds

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_RESULT_READ_BYTES = 64 * 1024


@dataclass
class _Child:
    """A forked process, the pipe it reads, and what came through its result pipe so far."""

    fd: int
    pid: int
    result_fd: int
    cutter: FrameCutter = field(default_factory=FrameCutter)
    results: list[bytes] = field(default_factory=list)
    reaped: bool = False


def fork_per_pipe(fds: Sequence[int], work: Callable[[int], bytes]) -> list[bytes]:
    """Runs `work(fd)` in a forked process per fd and returns what each returned, in the order of `fds`.

    Call it from the main thread: PR_SET_PDEATHSIG follows the thread that forks, not its process.

    Raises:
        PipeError, ProtocolError: see `check_fds` and `say_ready`; nothing is forked then.
        ChildError: a child ended, by an exception, an exit or a signal, without a result. The others are killed first.
    """
    check_fds(fds)
    say_ready()
    bind = bond_to_this_process()
    children: list[_Child] = []
    try:
        for fd in fds:
            not_ours = [*(other for other in fds if other != fd), *(sibling.result_fd for sibling in children)]
            children.append(_fork(fd, not_ours, bind, work))
        _gather(children)
    finally:
        for child in children:
            os.close(child.result_fd)
            if not child.reaped:
                os.kill(child.pid, signal.SIGKILL)
        for child in children:
            if not child.reaped:
                os.waitpid(child.pid, 0)
    return [child.results[0] for child in children]


def bond_to_this_process() -> Callable[[], None]:
    """What a forked child calls to be killed (SIGKILL) when this process ends; raises if it has ended already.

    libc is loaded here: a child should do no more than call it.
    """
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent_pid = os.getpid()

    def bind() -> None:
        if prctl(_PR_SET_PDEATHSIG, signal.SIGKILL):
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
        if os.getppid() != parent_pid:  # it died before the bond held: no signal will come any more
            raise ChildProcessError("the parent process has ended")

    return bind


def _fork(fd: int, not_ours: Sequence[int], bind: Callable[[], None], work: Callable[[int], bytes]) -> _Child:
    result_fd, child_end = os.pipe()
    sys.stdout.flush()  # what is still buffered would come out of parent and child
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _live(fd, child_end, (result_fd, *not_ours), bind, work)
    os.close(child_end)
    return _Child(fd, pid, result_fd)


def _live(
    fd: int, child_end: int, not_ours: Sequence[int], bind: Callable[[], None], work: Callable[[int], bytes]
) -> NoReturn:
    """The child's life: work, send the result, leave; by os._exit, because the parent's exit handlers are not ours."""
    exit_code = 1
    try:
        bind()
        for other in not_ours:
            os.close(other)
        result = work(fd)
        sys.stdout.flush()
        with open(child_end, "wb") as results:
            results.write(len(result).to_bytes(LENGTH_BYTES, "little") + result)
        exit_code = 0
    except WorkerError as fault:
        exit_code = report(fault)
    except SystemExit as leaving:
        exit_code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(exit_code)


def _gather(children: list[_Child]) -> None:
    """Reads every child's result until all have left; raises ChildError at the first that leaves without one."""
    by_result_fd = {child.result_fd: child for child in children}
    with select.epoll() as epoll:
        for result_fd in by_result_fd:
            epoll.register(result_fd, select.EPOLLIN)
        while by_result_fd:
            for result_fd, _ in epoll.poll():
                child = by_result_fd[result_fd]
                if chunk := os.read(result_fd, _RESULT_READ_BYTES):
                    child.results += child.cutter.cut(chunk)
                    continue
                epoll.unregister(result_fd)
                del by_result_fd[result_fd]
                _reap(child)


def _reap(child: _Child) -> None:
    _, status = os.waitpid(child.pid, 0)
    child.reaped = True
    code = os.waitstatus_to_exitcode(status)
    if code == 0 and child.results:
        return
    end = f"was killed by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exited with code {code}"
    text = f"fd {child.fd}: its process {child.pid} {end} before the pipe ended; the other processes are stopped"
    raise ChildError(text, 128 - code if code < 0 else code or os.EX_SOFTWARE)
