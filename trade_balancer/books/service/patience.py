"""How long a task may wait for one thing, which it does again and again.

Law: one timer for many waits. asyncio.timeout() makes one for each, which costs more than a write that need not wait.
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class Patience:
    """To be closed. For one task at a time.

    with patience:
        await something()  # TimeoutError once it has taken `limit_s`
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[object] | None = None
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._due_s = self._loop.time() + self._limit_s
        if self._timer is None:
            self._timer = self._loop.call_at(self._due_s, self._look)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if self._is_over and task is not None:
            self._is_over = False
            if task.uncancel() == 0:  # else somebody else has cancelled it, too
                raise TimeoutError

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self._task is None:
            return
        if self._loop.time() < self._due_s:
            self._timer = self._loop.call_at(self._due_s, self._look)
        else:
            self._is_over = True
            self._task.cancel()
