"""The way to another program in this process; or, at a restart, to the next start, which goes on with what is left.

    state      what happens                          next state
    IDLE       somebody asks for an upgrade          ASKING: the installed program is asked whether it can
    ASKING     it can                                SETTLING: no session is opened, one that can't be kept is closed
                                                     as soon as no full pipe keeps it from being read to its end
               it can't, or says nothing in time     IDLE, told
    SETTLING   all that goes on has come to an end   (the other program)
               that takes more than SETTLE_S         IDLE, told
               the jump fails                        IDLE, told
    any        lb stops                              IDLE, told

A restart goes the same way; instead of the jump this process leaves, and where it can't, lb stops.

Law: until the jump this program does all it always does, and a refusal leaves nothing changed but a session that was
closed for it.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lb import logs
from lb.control import Later, Refusal
from lb.handover.question import Question
from lb.handover.way import Way

SETTLE_S = 30.0
"""How long a dialogue, a worker's start or end, or an answer to another program is waited for."""

_NEVER_NS = 1 << 62


class State(enum.Enum):
    IDLE = enum.auto()
    ASKING = enum.auto()
    SETTLING = enum.auto()


@dataclass(frozen=True)
class Ports:
    """What the balancer does for it."""

    ask: Callable[[Callable[[Way | str], object]], Question]
    """Raises OSError."""
    settle: Callable[[Way], object]
    """No session is opened from now on, and one that can't be kept is closed as soon as that loses nothing. To be
    called again and again."""
    release: Callable[[], object]
    unsettled: Callable[[Way], str | None]
    """What is waited for."""
    jump: Callable[[Way], object]
    """Does not return where it goes well; where it returns, it is tried again. Raises OSError."""
    leave: Callable[[], object]
    """Does not return where it goes well. Raises OSError."""
    stop: Callable[[], object]
    """Instead of a restart that keeps nothing."""


class Upgrade:
    """To be tended between two runs of the pump."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self.state = State.IDLE
        self._question: Question | None = None
        self._way = Way.MAPPING
        self._until_ns = _NEVER_NS
        self._is_restart = False
        self._number = 0
        self._why = ""
        """The last one was refused."""

    @property
    def is_begun(self) -> bool:
        return self.state is not State.IDLE

    def close(self) -> None:
        if self._question is not None:
            self._question.close()
            self._question = None

    def begin(self, by: str, *, is_restart: bool = False) -> None:
        """Somebody asks. While one goes on, that is the same wish; but a restart follows, whatever goes on."""
        self._is_restart = self._is_restart or is_restart
        if self.state is not State.IDLE:
            return
        self._number += 1
        logs.info("restart asked for" if is_restart else "upgrade asked for", by=by)
        try:
            self._question = self._ports.ask(self._answered)
        except OSError as error:
            self.refuse(f"the program can't be asked: {error.strerror}")
        else:
            self.state = State.ASKING

    def asked(self) -> Later:
        """The same by a program, which is told. Only a refusal is this process's to tell."""
        self.begin("lbctl")
        number = self._number

        def look() -> Mapping[str, object] | None:
            if self.state is not State.IDLE and number == self._number:
                return None
            raise Refusal("not-possible", f"no upgrade: {self._why}")

        return Later(look, _NEVER_NS, is_of_upgrade=True)

    def refuse(self, why: str) -> None:
        """Also where lb stops."""
        self.close()
        if self.state is State.SETTLING:
            self._ports.release()
        self._why = why
        self.state = State.IDLE
        self._until_ns = _NEVER_NS
        if self._is_restart:
            logs.warning("the next start can't go on with the session", why=why)
            self._ports.stop()
        else:
            logs.error("no upgrade: this program goes on", why=why)

    @property
    def deadline_ns(self) -> int:
        """When tend() has something to do next (CLOCK_MONOTONIC)."""
        match self.state:
            case State.ASKING if self._question is not None:
                return self._question.until_ns
            case State.SETTLING:
                return 0 if self._ports.unsettled(self._way) is None else self._until_ns
        return _NEVER_NS

    def tend(self, now_ns: int) -> None:
        if self.state is State.ASKING and self._question is not None:
            self._question.tend(now_ns)
        if self.state is State.SETTLING:
            self._ports.settle(self._way)
        if self.state is State.SETTLING:
            what = self._ports.unsettled(self._way)
            if what is None:
                self._jump()
            elif now_ns >= self._until_ns:
                self.refuse(f"{what} has not come to its end within {SETTLE_S:g} s")

    def _answered(self, said: Way | str) -> None:
        self._question = None
        if not isinstance(said, Way):
            self.refuse(said)
            return
        if self._is_restart and said is not Way.MAPPING:
            self.refuse("its pump is laid out otherwise")
            return
        self._way = said
        self.state = State.SETTLING
        self._until_ns = time.monotonic_ns() + int(SETTLE_S * 1e9)
        self._ports.settle(said)

    def _jump(self) -> None:
        try:
            if self._is_restart:
                self._ports.leave()
            else:
                self._ports.jump(self._way)
        except OSError as error:
            self.refuse(f"the program can't be run: {error.strerror}")
