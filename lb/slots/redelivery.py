"""Redelivery: what workers have finished, and what their successors get once more.

Law: whoever is started on a pipe begins with the first record that nobody has acknowledged. A record's number on its
pipe is how many were dealt to that pipe before it, in this life of lb; LB_RUN names the life.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from lb import logs
from lb.slots.memory import allowed_memory_bytes
from lb.slots.slot import Slot

RETAIN_BYTES = 64 << 20
"""Of each pipe, and of all together at most this part of the memory:"""
_LARGEST_SHARE = 8
_LEAST_BYTES = 1 << 20


class Retaining(Protocol):
    """What keeps the records: the pump."""

    def acknowledge(self, pipe: int, records_total: int) -> bool: ...
    def listen(self, pipe: int, channel_fd: int, reader_fd: int) -> None: ...
    def listen_again(self, pipe: int, channel_fd: int, reader_fd: int) -> None: ...
    def redeliver(self, pipe: int, read_fd: int) -> int: ...


def retain_bytes(pipes: int) -> int:
    """How much is retained for each of so many pipes where nothing else is asked for."""
    return max(min(RETAIN_BYTES, allowed_memory_bytes() // _LARGEST_SHARE // pipes), _LEAST_BYTES)


class Redelivery:
    """`acknowledged_total`: of a pipe's records, by all its workers. `read_fds`: by pipe. `most_bytes`: how much is
    retained of each pipe, which a worker that acknowledges seldom has to know."""

    def __init__(
        self,
        retaining: Retaining,
        acknowledged_total: Callable[[int], int],
        read_fds: list[int],
        most_bytes: int,
        adopted: Mapping[str, Any] | None = None,
    ) -> None:
        """`adopted`: what hand_over() said before this program took the process over."""
        self._retaining = retaining
        self._acknowledged_total = acknowledged_total
        self._read_fds = read_fds
        self._most_bytes = most_bytes
        self._run = os.urandom(8).hex() if adopted is None else adopted["run"]
        self._is_silence_told = False if adopted is None else bool(adopted["is_silence_told"])

    def hand_over(self) -> dict[str, Any]:
        return {"run": self._run, "is_silence_told": self._is_silence_told}

    def go_on(self, slot: Slot) -> None:
        """A worker runs since before this program took the process over."""
        assert slot.channel is not None
        for fd, pipe in slot.pipe_by_fd.items():
            self._retaining.listen_again(pipe, slot.channel.fileno(), fd)

    def begin(self, slot: Slot) -> Mapping[str, str]:
        """A worker is about to be started. Returns what its environment says of it."""
        assert slot.channel is not None
        slot.first_record = {pipe: self._acknowledged_total(pipe) for pipe in slot.pipes}
        slot.is_excess_told = False
        for fd, pipe in slot.pipe_by_fd.items():
            self._retaining.listen(pipe, slot.channel.fileno(), fd)
        firsts = (f"{fd}:{slot.first_record[pipe]}" for fd, pipe in slot.pipe_by_fd.items())
        return {"LB_FIRST": ",".join(firsts), "LB_RUN": self._run, "LB_RETAIN": str(self._most_bytes)}

    def end(self, slot: Slot) -> None:
        """The worker's channel is about to be closed."""
        for pipe in slot.pipes:
            self._retaining.listen(pipe, -1, -1)

    def take(self, slot: Slot) -> None:
        """The worker has told what it has finished (Slot.acknowledged), as far as the pump has not taken that."""
        for pipe, records in slot.acknowledged.items():
            if not self._retaining.acknowledge(pipe, slot.first_record[pipe] + records) and not slot.is_excess_told:
                slot.is_excess_told = True
                logs.warning(
                    "worker acknowledges more records than it was given: ignored",
                    slot=slot.number, pid=slot.pid, pipe=pipe, acknowledged=records,
                )  # fmt: skip

    def redeliver(self, pipe: int) -> int:
        """The pipe's worker has died: the next one begins with a whole record, so that nothing of one is dropped (0
        bytes). Raises OSError."""
        records = self._retaining.redeliver(pipe, self._read_fds[pipe])
        if records:
            first = self._acknowledged_total(pipe)
            logs.warning("unacknowledged records are delivered again", pipe=pipe, records=records, first=first)
        return 0

    def stalled(self, slot: Slot, pipe: int) -> None:
        """All was read from this pipe, and it stops the reading all the same. A worker that has never acknowledged
        anything is told of, once: all workers are one program."""
        if self._is_silence_told or self._acknowledged_total(pipe) > slot.first_record[pipe]:
            return
        self._is_silence_told = True
        logs.error(
            "worker acknowledges no record: --retain is used up, and the feed is read no further; "
            "--redeliver is for workers that acknowledge, as the SDK does by itself",
            slot=slot.number, pid=slot.pid, pipe=pipe,
        )  # fmt: skip
