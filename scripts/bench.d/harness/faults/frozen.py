"""What the other pipes notice of a worker that is frozen, where its records may be dropped or put aside."""

import os
import signal
import time
from contextlib import ExitStack
from tempfile import TemporaryDirectory

from harness import feed, tally
from harness.errors import TrialError
from harness.faults import row
from harness.faults.play import Play, playing, wanted_option
from harness.rows import Terms
from harness.setting import Setting

FROZEN_DROP = "p99 of the other pipes beside a frozen worker under drop-newest, against none"
FROZEN_SPILL = "p99 of the other pipes beside a frozen worker under spill, against none"

_PIPES = 4
_RATE = 100_000
_FEED_S = 120.0
_BACKLOG_BYTES = 8 << 20
"""Full after two seconds, with the pipe: no worker that only waits for its turn, on a busy machine, looks frozen."""
_POLL_S = 0.002


@row(FROZEN_DROP)
def frozen_drop(terms: Terms) -> list[float]:
    return _ratios(terms, "drop-newest")


@row(FROZEN_SPILL)
def frozen_spill(terms: Terms) -> list[float]:
    return _ratios(terms, "spill")


def _ratios(terms: Terms, policy: str) -> list[float]:
    wanted_option("--on-full")
    return [_p99_ns(terms, policy, freeze=True) / _p99_ns(terms, policy, freeze=False) for _ in range(terms.rounds)]


def _p99_ns(terms: Terms, policy: str, *, freeze: bool) -> float:
    """Of the records of all pipes but the first, whose worker is stopped before the feed begins."""
    seconds = 3.0 if terms.quick else 4.0
    setting = Setting(feed.synthetic(terms.build, "160", 1), _PIPES, "latency", seconds=seconds, rate=_RATE)
    with ExitStack() as stack:
        if policy == "spill":  # what one run leaves there would come first in the next
            policy += "=" + stack.enter_context(TemporaryDirectory(dir=terms.build))
        play = stack.enter_context(playing(terms, setting, "--on-full", policy, "--backlog", str(_BACKLOG_BYTES)))
        frozen = play.pids()[0]
        if freeze:
            os.kill(frozen, signal.SIGSTOP)
        play.feeder.go()
        sent = play.feeder.event("sent", _FEED_S, lambda: None)["records"]
        _await_others(play, sent // _PIPES)
        if freeze:
            os.kill(frozen, signal.SIGCONT)
        play.stop()
        others = tally.merged([play.tally(number) for number in range(1, _PIPES)])
        was_full = any(line["message"].startswith("a pipe is full: ") for line in play.lines())
    if freeze and not was_full:
        raise TrialError("the frozen worker's pipe was never full")
    return others.percentile_ns(0.99)


def _await_others(play: Play, records: int) -> None:
    """Each must get its share, frozen neighbour or not."""
    for number in range(1, _PIPES):
        deadline_s = time.monotonic() + _FEED_S
        while play.tally(number).records < records:
            if time.monotonic() > deadline_s:
                raise TrialError(f"worker {number} has {play.tally(number).records} records, expected {records}")
            time.sleep(_POLL_S)
