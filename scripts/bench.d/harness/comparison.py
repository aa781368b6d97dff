"""The whole comparison: every candidate is checked first, then measured place by place, in turn, round by round (A B
C A B C).

Law: no figure of a candidate whose output is wrong. A candidate that fails a check is left out; one that fails at a
place has no figures there; both are named at the end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import feed as feeds
from harness.candidates import LB, ONE_WRITE, Candidate
from harness.check import check
from harness.errors import SetupError, TrialError
from harness.feed import REAL_SECOND, Feed
from harness.goals import MEMORY_RECORDS
from harness.instructions import pump_instructions
from harness.plan import Plan, Point
from harness.results import PUMP, Results
from harness.setting import Setting
from harness.trial import Trial, run

PARTS = ("throughput", "latency", "single")
"""`single`: the figures of lb alone: memory, start, instructions."""

_LATENCY_PIPES = 4
_LATENCY_CANDIDATES = (ONE_WRITE, LB, "py-picows", "py-websockets")
_MEMORY_PIPES = 16
_START_PIPES = 4


@dataclass
class Comparison:
    """What one call of the benchmark was asked to do.

    seconds: how long the feed of one run lasts.
    certificate: the feeder's, for wss; real: the file of messages, if one was given; say: takes a line of progress.
    """

    plan: Plan
    candidates: Sequence[Candidate]
    parts: Sequence[str]
    rounds: int
    seconds: float
    build: Path
    certificate: Path
    real: Path | None
    say: Callable[[str], None]
    memory_records: int = MEMORY_RECORDS
    _feeds: dict[tuple[str, int], Feed] = field(default_factory=dict)

    def run(self) -> Results:
        results = Results(absent={each.name: each.missing for each in self.candidates if each.missing})
        if REAL_SECOND in self.plan.layouts and not self.real:
            results.absent["the real opening second"] = "no file was given with --real"
        sound = self._check([each for each in self.candidates if not each.missing], results)
        if "throughput" in self.parts:
            self._throughput(sound, results)
        if "latency" in self.parts:
            self._latency([each for each in sound if self._is_paced(each)], results)
        if "single" in self.parts:
            self._single(next((each for each in sound if each.name == LB), None), results)
        return results

    def _points(self) -> list[Point]:
        return [point for point in self.plan.points() if point.layout != REAL_SECOND or self.real]

    def _is_paced(self, candidate: Candidate) -> bool:
        return candidate.name in _LATENCY_CANDIDATES or candidate.is_peer

    def _feed(self, layout: str, batch: int) -> Feed:
        if (layout, batch) not in self._feeds:
            if layout == REAL_SECOND:
                assert self.real
                self._feeds[layout, batch] = feeds.from_messages(self.build, self.real)
            else:
                self._feeds[layout, batch] = feeds.synthetic(self.build, layout, batch)
        return self._feeds[layout, batch]

    def _check(self, candidates: Sequence[Candidate], results: Results) -> list[Candidate]:
        """Those whose output is right on every feed that they are measured with."""
        sound = []
        for candidate in candidates:
            points = [point for point in self._points() if self.plan.runs_at(candidate, point)]
            kinds = list(dict.fromkeys((point.layout, point.batch) for point in points))
            if "latency" in self.parts and self._is_paced(candidate):
                kinds = list(dict.fromkeys([*kinds, self._latency_feed()]))
            certificate = self.certificate if candidate.tls else None
            try:
                routes = {check(candidate, self._feed(*kind), certificate, self.build) for kind in kinds}
            except TrialError as error:
                results.failures.append(str(error))
                self.say(f"FAILED  {error}")
                continue
            self.say(f"checked {candidate.name:22} {len(kinds)} feeds, byte for byte: {', '.join(sorted(routes))}")
            sound.append(candidate)
        return sound

    def _throughput(self, candidates: Sequence[Candidate], results: Results) -> None:
        for point in self._points():
            here = [each for each in candidates if self.plan.runs_at(each, point)]
            setting = Setting(
                self._feed(point.layout, point.batch),
                point.pipes,
                seconds=self.seconds,
                certificate=self.certificate if point.tls else None,
            )
            self.say(f"measuring {point}")
            results.throughput[point] = self._rounds(str(point), here, setting, results)

    def _latency_feed(self) -> tuple[str, int]:
        """One record per frame: the feeder joins what is due."""
        return next(layout for layout in (*self.plan.layouts, "160") if layout != REAL_SECOND), 1

    def _latency(self, candidates: Sequence[Candidate], results: Results) -> None:
        for pace in self.plan.paces():
            setting = Setting(
                self._feed(*self._latency_feed()),
                _LATENCY_PIPES,
                "latency",
                seconds=self.seconds,
                rate=pace.rate,
                bursty=pace.bursty,
            )
            self.say(f"measuring latency, {pace}")
            results.latency[pace] = self._rounds(str(pace), candidates, setting, results)

    def _rounds(
        self, place: str, candidates: Sequence[Candidate], setting: Setting, results: Results
    ) -> dict[str, list[Trial]]:
        trials: dict[str, list[Trial]] = {candidate.name: [] for candidate in candidates}
        for _ in range(self.rounds):
            for candidate in candidates:
                if candidate.name not in trials:
                    continue
                try:
                    trials[candidate.name].append(run(candidate, setting, self.build))
                except TrialError as error:
                    del trials[candidate.name]
                    results.failures.append(f"{place}: {error}")
                    self.say(f"FAILED  {place}: {error}")
        return trials

    def _single(self, lb: Candidate | None, results: Results) -> None:
        try:
            results.pump_instructions = pump_instructions(self._feed("112", 20), self.build)
        except SetupError as error:
            results.absent[PUMP] = str(error)
        if not lb:
            return
        feed = self._feed("160", 20)
        self.say(f"measuring memory over {self.memory_records:,} records, and the start")
        try:
            passes = -(-self.memory_records // len(feed.records))
            results.memory = run(lb, Setting(feed, _MEMORY_PIPES, passes=passes), self.build)
            for _ in range(self.rounds):
                results.starts.append(run(lb, Setting(feed, _START_PIPES, passes=1, start_at_once=True), self.build))
        except TrialError as error:
            results.failures.append(str(error))
            self.say(f"FAILED  {error}")
