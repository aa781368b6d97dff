"""Before a program takes the process over, it is asked whether it can: `lb --check-handover QUESTION ANSWER`.

It is started beside this one, with two descriptors. In the first it finds the versions of what it is to take over, and
the command line; in the second it says in a line of JSON whether it would start with them, and in which way it takes
the pump over: its mapping, or, where that looks otherwise, its account. A program that knows no such question, does not
start, or says nothing in time can't. Law: it gets no key, and neither session nor pipes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import orjson

from lb import options
from lb.errors import LbError
from lb.handover import document
from lb.handover.way import Way
from lb.key import Key
from lb.pump import account, description
from lb.slots.allowance import Allowance
from lb.slots.spawn import Order, report, spawn

ARGUMENT = "--check-handover"
ANSWER_S = 20.0
"""A program that has not said by then whether it can is taken for one that can't."""
_LONGEST_BYTES = 4096
_DESCRIPTORS = 256


def answer(words: Sequence[str]) -> int:
    """What the program does that is asked; returns its exit code. `words`: behind ARGUMENT."""
    question_fd, answer_fd = map(int, words)
    said: dict[str, object]
    try:
        question = document.read(question_fd)
        options.parse(question["words"], Key("none"))
        ways = {
            Way.MAPPING: question["mapping"] == description(),
            Way.ACCOUNT: question.get("account") == account.VERSION,
        }
        way = next((way for way, is_open in ways.items() if is_open), None)
        said = {
            "can": way is not None,
            "way": way,
            "why": "its pump is laid out otherwise, and tells of itself otherwise",
        }
    except LbError as error:
        said = {"can": False, "why": str(error)}
    os.write(answer_fd, orjson.dumps(said))
    return 0


class Question:
    """Asks at once. `told` is called, once, with the way that the program can go, or why it can't. To be closed."""

    def __init__(
        self,
        words: Sequence[str],
        allowance: Allowance,
        watch: Callable[[int, Callable[[], None]], object],
        unwatch: Callable[[int], object],
        told: Callable[[Way | str], object],
    ) -> None:
        """Raises OSError."""
        self._unwatch = unwatch
        self._told = told
        self._said = b""
        self._process_fd: int | None = None
        self.until_ns = time.monotonic_ns() + int(ANSWER_S * 1e9)
        self._answer_fd = self._report_fd = -1
        asked = {"words": list(words), "mapping": description(), "account": account.VERSION}
        with ExitStack() as theirs:
            try:
                theirs.callback(os.close, question_fd := document.leave(asked))
                self._answer_fd, answer_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
                theirs.callback(os.close, answer_end)
                self._report_fd, report_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
                theirs.callback(os.close, report_end)
                self._order = _order([question_fd, answer_end], allowance)
                self._process_fd = os.pidfd_open(spawn(self._order, report_end))
                watch(self._answer_fd, self._hear)
            except OSError:
                self.close()
                raise

    def close(self) -> None:
        """Nobody waits for the answer any more."""
        if self._answer_fd >= 0:
            self._unwatch(self._answer_fd)
        for fd in (self._answer_fd, self._report_fd):
            if fd >= 0:
                os.close(fd)
        self._answer_fd = self._report_fd = -1
        if self._process_fd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process_fd, signal.SIGKILL)
            os.close(self._process_fd)
            self._process_fd = None

    def tend(self, now_ns: int) -> None:
        if now_ns >= self.until_ns:
            self._end(f"it has not said within {ANSWER_S:g} s whether it can")

    def _hear(self) -> None:
        try:
            data = os.read(self._answer_fd, _LONGEST_BYTES)
        except BlockingIOError:
            return
        self._said += data
        if not data or len(self._said) > _LONGEST_BYTES:
            self._end(self._meaning())

    def _meaning(self) -> Way | str:
        with contextlib.suppress(BlockingIOError):
            if (fault := report(self._order, self._report_fd)) is not None:
                return str(fault)
        try:
            said: Any = orjson.loads(self._said)
        except orjson.JSONDecodeError:
            said = None
        match said:
            case {"can": True, "way": Way.ACCOUNT.value}:
                return Way.ACCOUNT
            case {"can": True}:
                return Way.MAPPING  # one from before there were two says no more
            case {"can": False, "why": str(why)}:
                return why
            case _:
                return "it does not start, or knows no such question: see its last words on standard error"

    def _end(self, said: Way | str) -> None:
        self.close()
        self._told(said)


def _order(fds: Sequence[int], allowance: Allowance) -> Order:
    return Order(
        path=sys.executable,
        argv=[*document.command(), ARGUMENT, *map(str, fds)],
        environment=dict(os.environ),
        directory=".",
        fds=fds,
        soft_descriptors=_DESCRIPTORS,
        cpus=allowance.worker_cpus(),
    )
