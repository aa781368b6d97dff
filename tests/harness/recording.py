"""What recorders told: records per pipe, in their order."""

from __future__ import annotations

from collections import defaultdict

from harness.recorder import CUT_OFF, PIPE_END, STARTED, UNIT


class Recording:
    """Filled by feed() from the recorders' common standard output."""

    def __init__(self) -> None:
        self._rest = b""
        self.by_pid: dict[int, dict[int, list[bytes]]] = {}
        self.pipes: dict[int, list[bytes]] = defaultdict(list)
        """By the pipe's place among the arguments of its worker."""
        self.total = 0
        self.ended_pipes = 0
        self.cut_off_pipes = 0

    @property
    def pids(self) -> list[int]:
        """Of the recorders, in the order of their starts."""
        return list(self.by_pid)

    def feed(self, data: bytes) -> None:
        self._rest += data
        at = 0
        while len(self._rest) - at >= UNIT.size:
            pipe, pid, length = UNIT.unpack_from(self._rest, at)
            if len(self._rest) - at - UNIT.size < length:
                break
            at += UNIT.size
            self._take(pipe, pid, length, self._rest[at : at + max(length, 0)])
            at += max(length, 0)
        self._rest = self._rest[at:]

    def _take(self, pipe: int, pid: int, length: int, record: bytes) -> None:
        if length == STARTED:
            self.by_pid[pid] = defaultdict(list)
        elif length == PIPE_END:
            self.ended_pipes += 1
        elif length == CUT_OFF:
            self.cut_off_pipes += 1
        else:
            assert length >= 0, f"recorder {pid} told a length of {length}"
            self.pipes[pipe].append(record)
            self.by_pid[pid][pipe].append(record)
            self.total += 1
