"""For how long a worker has left bytes in its pipes.

Law: pure; the clock and the counts are the caller's. lb holds a read end of each pipe, so that no write ever fails for
want of a reader: bytes that stay are all there is to see of a worker that has stopped to read. Time in which nobody
looked counts for nothing: lb may have been stopped together with its workers, in a frozen container, say.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Still:
    """A pipe: what it held when it was looked at last, and for how long none of it was read."""

    pipe: int
    held_bytes: int = 0
    still_ns: int = 0
    taken_bytes: int = 0
    """Read from it ever, by all its readers."""


class Standstill:
    """Of one worker, from its start on. `most_ns`: so much at most is counted from one look to the next."""

    def __init__(self, pipes: Iterable[int], most_ns: int) -> None:
        self._most_ns = most_ns
        self._pipes = {pipe: Still(pipe) for pipe in pipes}
        self._looked_ns: int | None = None

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another process."""
        return {"looked_ns": self._looked_ns, "pipes": [dataclasses.asdict(pipe) for pipe in self._pipes.values()]}

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        self._looked_ns = handed_over["looked_ns"]
        self._pipes = {pipe["pipe"]: Still(**pipe) for pipe in handed_over["pipes"]}

    def look(self, held_bytes: dict[int, int], taken_bytes: dict[int, int], now_ns: int) -> Still:
        """Take what each pipe holds, and what has been taken from it ever; return the one that stands longest."""
        elapsed_ns = 0 if self._looked_ns is None else min(now_ns - self._looked_ns, self._most_ns)
        self._looked_ns = now_ns
        for number, pipe in self._pipes.items():
            is_still = pipe.held_bytes > 0 and pipe.taken_bytes == taken_bytes[number]
            pipe.still_ns = pipe.still_ns + elapsed_ns if is_still else 0
            pipe.held_bytes, pipe.taken_bytes = held_bytes[number], taken_bytes[number]
        return max(self._pipes.values(), key=lambda pipe: pipe.still_ns)
