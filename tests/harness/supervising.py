"""A Supervisor with real workers and without a feed: turned by hand, its log lines kept, its transitions recorded."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.lb_process import TIMEOUT_S
from lb import logs
from lb.config import Config, Endpoint, LogFormat, LogLevel, Spawn
from lb.key import Key
from lb.signals import WakeUps
from lb.slots.allowance import Allowance
from lb.slots.pipes import Pipes
from lb.slots.slot import Event, Slot, State
from lb.slots.supervisor import Supervisor


class Supervising:
    """Within its `with` block there is a supervisor; start() is the test's. Nothing of it is left afterwards.

    `options`: of Config. Unless one says so, no worker is called stuck.
    """

    def __init__(
        self,
        worker: Sequence[str],
        pipes: int = 1,
        *,
        per_pipe: bool = False,
        directory: Path | str = "/",
        **options: Any,
    ):
        self._config = Config(
            Key("k"), Endpoint.parse("ws://127.0.0.1:1/"), pipes, str(directory), worker[0], tuple(worker[1:]),
            spawn=Spawn.PER_PIPE if per_pipe else Spawn.SHARED, **{"stuck_after_s": 0.0, **options},
        )  # fmt: skip
        self.lines: list[dict[str, Any]] = []
        self.walked: list[tuple[State, Event, State]] = []
        self.written_bytes = [0] * pipes
        self.realigned: list[int] = []

    def __enter__(self) -> Supervising:
        with ExitStack() as stack:
            stack.callback(setattr, logs, "_log", logs._log)
            logs._log = _Keeper(self.lines)
            self.wake_ups = stack.enter_context(WakeUps())
            allowance = Allowance()
            self.pipes = Pipes(self._config.pipes, 65536, allowance)
            stack.callback(self.pipes.close)
            self.supervisor = _Recorded(self, self._config, self.pipes, self.wake_ups, allowance)
            stack.callback(self.supervisor.leave, "the test is over")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def slots(self) -> list[Slot]:
        return self.supervisor.slots

    def start(self) -> list[int]:
        """Start all workers; return their pids once they run."""
        self.supervisor.start()
        self.until(lambda: all(slot.starts_total for slot in self.slots))
        return [slot.pid for slot in self.slots]

    def write(self, pipe: int, data: bytes) -> None:
        self.written_bytes[pipe] += os.write(self.pipes.write_fds[pipe], data)

    def until(self, is_so: Callable[[], object]) -> None:
        """Turn, as the balancer does, until something is so."""
        give_up_ns = time.monotonic_ns() + int(TIMEOUT_S * 1e9)
        while not is_so():
            assert time.monotonic_ns() < give_up_ns, f"it does not come to that; {self.walked}; {self.lines}"
            self.wake_ups.wait(min(give_up_ns, self.supervisor.deadline_ns))
            self.wake_ups.take()
            self.supervisor.reap()
            self.supervisor.tend(time.monotonic_ns())

    def told(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["message"] == message]


class _Recorded(Supervisor):
    def __init__(
        self, test: Supervising, config: Config, pipes: Pipes, wake_ups: WakeUps, allowance: Allowance
    ) -> None:
        def realign(pipe: int) -> int:
            test.realigned.append(pipe)
            return 0

        super().__init__(
            config, pipes, wake_ups, allowance,
            realign=realign, taken_bytes=lambda pipe: test.written_bytes[pipe] - pipes.unread_bytes(pipe),
        )  # fmt: skip
        self._test = test

    def _happens(self, slot: Slot, event: Event) -> None:
        before = slot.state
        at = len(self._test.walked)
        super()._happens(slot, event)
        self._test.walked.insert(at, (before, event, slot.state))


class _Keeper(logs._Log):
    def __init__(self, lines: list[dict[str, Any]]) -> None:
        super().__init__(LogLevel.DEBUG, LogFormat.TEXT, str)
        self._lines = lines

    def write(self, level: LogLevel, message: str, values: Mapping[str, object]) -> None:
        self._lines.append({"message": message, "level": level.value, **values})
