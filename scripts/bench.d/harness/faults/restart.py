"""How soon a worker that was killed has a successor."""

import os
import signal
import time

from harness import feed
from harness.errors import TrialError
from harness.faults import row
from harness.faults.play import Play, playing
from harness.rows import Terms
from harness.setting import Setting

RESTART = "worker killed to its successor's start, median of 50"

_KILLS = 50
_PIPES = 10
_RATE = 10_000
_FEED_S = 600.0
"""As long as it takes: the feed is ended with the last kill."""
_AGE_S = 1.2
"""A younger worker that ends is taken for one that can't run, and its successor has to wait."""
_POLL_S = 0.0002
_LATE_S = 60.0


@row(RESTART)
def restart(terms: Terms) -> list[float]:
    """In ms, of each kill: SIGKILL to a worker that has read something, until its successor's main() has its pipe."""
    kills = 5 if terms.quick else _KILLS
    setting = Setting(feed.synthetic(terms.build, "160", 1), _PIPES, seconds=_FEED_S, rate=_RATE)
    with playing(terms, setting) as play:
        play.feeder.go()
        born_s = [time.monotonic()] * _PIPES
        times_ms = [_kill(play, number % _PIPES, born_s) for number in range(kills)]
        play.stop()
    return times_ms


def _kill(play: Play, worker: int, born_s: list[float]) -> float:
    time.sleep(max(born_s[worker] + _AGE_S - time.monotonic(), 0.0))
    before = play.tally(worker)
    if not before.bytes:
        raise TrialError(f"worker {worker} has read nothing within {_AGE_S:g} s")
    started_s = time.monotonic()
    os.kill(before.pid, signal.SIGKILL)
    while play.tally(worker).pid == before.pid:
        if time.monotonic() > started_s + _LATE_S:
            raise TrialError(f"worker {worker} had no successor within {_LATE_S:.0f} s")
        time.sleep(_POLL_S)
    born_s[worker] = time.monotonic()
    return (born_s[worker] - started_s) * 1e3
