"""The verdict: every record is accounted for, whole, once and in order, and lb has not grown.

Law: looks, never acts.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from soak.lives import Lives, Told
from soak.programs import Lb, Line
from soak.tape import RECORDS, framed, record
from soak.worker import READ_BYTES

MOST_RESIDENT_BYTES = 160 << 20
"""What lb may need: itself some 50 MiB, and what waits for full pipes, of which it bounds the bytes at 32 MiB, with
what one read brings on top."""
MOST_GROWTH_BYTES = 4 << 20
"""Between the second and the last quarter of a soak of two minutes or more, of the median."""
LEAST_SAMPLES_OF_GROWTH = 120
MOST_MORE_FDS = 16
"""Beside those of a quiet moment: for the attempt to open a session, and workers that begin and end."""

_UNFINISHED_MOST = READ_BYTES // min(len(framed(record(number))) for number in range(RECORDS)) + 1
"""Records that a worker can have read and not finished when it is killed."""
_SAMPLE_S = 1.0


class Watch:
    """Samples what lb needs, once a second while entered."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.resident_bytes: list[int] = []
        self.fds: list[int] = []

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def sample(self) -> None:
        pages = Path(f"/proc/{self._pid}/statm").read_text().split()[1]
        self.resident_bytes.append(int(pages) * os.sysconf("SC_PAGE_SIZE"))
        self.fds.append(len(os.listdir(f"/proc/{self._pid}/fd")))  # noqa: PTH208 - only their number

    def _run(self) -> None:
        while not self._over.wait(_SAMPLE_S):
            try:
                self.sample()
            except (OSError, IndexError):
                return  # lb has ended

    def faults(self, quiet_fds: tuple[int, int]) -> list[str]:
        """`quiet_fds`: how many were open before the first fault, and after the last."""
        found = []
        if max(self.resident_bytes) > MOST_RESIDENT_BYTES:
            found.append(f"resident memory of {max(self.resident_bytes)} bytes, over {MOST_RESIDENT_BYTES}")
        samples = len(self.resident_bytes)
        if samples >= LEAST_SAMPLES_OF_GROWTH:
            early, late = self.resident_bytes[samples // 4 : samples // 2], self.resident_bytes[3 * samples // 4 :]
            growth_bytes = median(late) - median(early)
            if growth_bytes > MOST_GROWTH_BYTES:
                found.append(f"resident memory has grown by {growth_bytes:.0f} bytes, over {MOST_GROWTH_BYTES}")
        if quiet_fds[0] != quiet_fds[1]:
            found.append(f"{quiet_fds[0]} descriptors were open before the first fault, {quiet_fds[1]} after the last")
        if max(self.fds) > quiet_fds[0] + MOST_MORE_FDS:
            found.append(f"{max(self.fds)} descriptors were open at once, {quiet_fds[0]} in quiet moments")
        return found


@dataclass
class Verdict:
    """`faults` is empty where all is well."""

    faults: list[str] = field(default_factory=list)
    received: int = 0
    finished: int = 0
    unfinished: int = 0
    """Records that workers had read, and not finished when they were made to end: written - finished - unread."""
    lives: int = 0
    jumps: int = 0

    def require(self, is_so: object, fault: str) -> None:
        if not is_so:
            self.faults.append(fault)


def judge(lb: Lb, lives: Lives, exit_code: int, deaths: int) -> Verdict:
    """After lb has ended. `deaths`: how many workers were made to end."""
    verdict = Verdict()
    verdict.faults += lives.faults()
    _judge_balances(lb, verdict)
    final = lb.balances[-1]
    verdict.received = final["received"]
    verdict.require(exit_code == 0, f"exit code {exit_code}, and not 0")
    verdict.require(final["waiting"] == 0 and final.get("unread") == 0, f"not delivered to the end: {final}")
    verdict.require(
        len(lb.deaths) == deaths, f"{deaths} workers were made to end, {len(lb.deaths)} have: {sorted(lb.deaths)}"
    )
    verdict.require(
        lb.statistics.get("restarts") == deaths, f"{deaths} ends of workers, {lb.statistics.get('restarts')} restarts"
    )
    for text in [line["message"] for line in lb.lines if line["level"] == "text"]:
        verdict.faults.append(f"lb printed: {text}")
    _judge_pipes(lives.all(), final, lb, verdict)
    return verdict


def _judge_balances(lb: Lb, verdict: Verdict) -> None:
    """Each one is exact, whatever happens while it is taken, and none goes back."""
    received = 0
    for line in lb.balances:
        total = line["written"] + line["waiting"] + line["spilled"] + line["dropped"]
        is_exact = line["exact"] is True and line["received"] == total and sum(line["per_pipe"]) == line["written"]
        verdict.require(is_exact and line["dropped"] == 0, f"not exact: {line}")
        verdict.require(line["received"] >= received, f"fewer records than before, {received}: {line}")
        received = line["received"]


def _judge_pipes(told: list[Told], final: Line, lb: Lb, verdict: Verdict) -> None:
    by_pipe: dict[int, list[Told]] = defaultdict(list)
    for life in told:
        by_pipe[life.inode].append(life)
    slots_of_pid: dict[int, set[int]] = defaultdict(set)  # numbers of processes come again
    for line in lb.lines:
        if line["message"] == "worker started":
            slots_of_pid[line["pid"]].add(line["slot"])
    sessions = lb.statistics.get("reconnects", 0) + 1
    for lives in by_pipe.values():
        (slot,) = set.intersection(*(slots_of_pid[life.pid] for life in lives))
        ends = lb.deaths.count(slot)
        unfinished = final["per_pipe"][slot] - sum(life.finished for life in lives)
        verdict.require(
            0 <= unfinished <= ends * _UNFINISHED_MOST,
            f"pipe {slot}: {unfinished} of {final['per_pipe'][slot]} records are nowhere; {ends} workers have ended",
        )
        jumps = sum(life.jumps for life in lives)
        verdict.require(jumps < sessions, f"pipe {slot}: {jumps} beginnings of a session, after {sessions} sessions")
        verdict.require(sum(life.has_ended for life in lives) == 1, f"pipe {slot}: its end was not seen by one worker")
        verdict.finished += sum(life.finished for life in lives)
        verdict.unfinished += unfinished
        verdict.lives += len(lives)
        verdict.jumps += jumps
    verdict.require(
        len(by_pipe) == len(final["per_pipe"]), f"{len(by_pipe)} pipes of {len(final['per_pipe'])} were read"
    )
