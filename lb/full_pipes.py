"""What is told of full pipes: records that are dropped, or go to the disk, and what the disk does to them.

Law: reads numbers and logs, each of it once when it begins and once when it is over; changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lb import logs
from lb.episodes import Begun, Episodes, Over
from lb.metrics import Snapshot


class FullPipes:
    """`reader_of`: who should be reading a pipe, as values of a line."""

    def __init__(self, first: Snapshot, reader_of: Callable[[int], Mapping[str, object]]) -> None:
        self._reader_of = reader_of
        self._drops = Episodes([pipe.dropped_total - pipe.damaged_total for pipe in first.pipes])
        self._spills = Episodes([pipe.spilled_total for pipe in first.pipes])
        self._damages = Episodes([pipe.damaged_total for pipe in first.pipes])
        self._refusals = Episodes([first.counters.spill_refusals_total])

    def hand_over(self) -> list[Any]:
        """For adopt() in another process."""
        return [one.hand_over() for one in (self._drops, self._spills, self._damages, self._refusals)]

    def adopt(self, handed_over: Sequence[Any]) -> None:
        for one, of_one in zip((self._drops, self._spills, self._damages, self._refusals), handed_over, strict=True):
            one.adopt(of_one)

    def look(self, snapshot: Snapshot) -> None:
        now_ns, pipes = snapshot.taken_ns, snapshot.pipes
        dropped = [pipe.dropped_total - pipe.damaged_total for pipe in pipes]
        spilled = [pipe.spilled_total for pipe in pipes]
        damaged = [pipe.damaged_total for pipe in pipes]
        still_spilled = {number for number, pipe in enumerate(pipes) if pipe.spilled_records}
        for change in self._drops.look(dropped, now_ns):
            self._tell_drop(change)
        for change in self._spills.look(spilled, now_ns, still_spilled):
            self._tell_spill(change)
        for change in self._damages.look(damaged, now_ns):
            self._tell_damage(change)
        for change in self._refusals.look([snapshot.counters.spill_refusals_total], now_ns):
            self._tell_refusal(change, snapshot)

    def finish(self, final: Snapshot) -> None:
        """At the end, what is not over yet ends."""
        self.look(final)
        for change in self._drops.finish():
            self._tell_drop(change)
        for change in self._damages.finish():
            self._tell_damage(change)

    def _tell_drop(self, change: Begun | Over) -> None:
        match change:
            case Begun(pipe):
                logs.warning("a pipe is full: records for it are dropped", pipe=pipe, **self._reader_of(pipe))
            case Over(pipe, dropped, lasted_s):
                logs.warning("no records are dropped any more", pipe=pipe, dropped=dropped, lasted_s=lasted_s)

    def _tell_spill(self, change: Begun | Over) -> None:
        match change:
            case Begun(pipe):
                logs.warning("a pipe is full: records for it go to the disk", pipe=pipe, **self._reader_of(pipe))
            case Over(pipe, spilled, lasted_s):
                logs.info("what was spilled is read back", pipe=pipe, spilled=spilled, lasted_s=lasted_s)

    def _tell_damage(self, change: Begun | Over) -> None:
        match change:
            case Begun(pipe):
                logs.error("spilled records are damaged, and lost", pipe=pipe)
            case Over(pipe, damaged, _):
                logs.error("spilled records were damaged, and are lost", pipe=pipe, records=damaged)

    def _tell_refusal(self, change: Begun | Over, snapshot: Snapshot) -> None:
        disk_bytes, errno = snapshot.counters.spill_disk_bytes, snapshot.counters.spill_errno
        match change:
            case Begun():
                why = os.strerror(errno) if errno else "--spill-max is reached"
                logs.error("records can't be spilled: a full pipe stops the reading", why=why, spill_bytes=disk_bytes)
            case Over(_, refused, lasted_s):
                logs.warning("spilling goes on", refused=refused, lasted_s=lasted_s, spill_bytes=disk_bytes)
