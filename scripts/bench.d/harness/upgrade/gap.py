"""For how long records stand still while another program takes lb's process over."""

import time
from pathlib import Path

from harness import feed, tally
from harness.errors import TrialError
from harness.faults.play import Play, playing
from harness.rows import Terms
from harness.setting import Setting
from harness.upgrade import row

UPGRADE = "longest way of a record at 100k records/s, with an upgrade in the middle"

_PIPES = 4
_RATE = 100_000
_FEED_S = 120.0
_POLL_S = 0.002


@row(UPGRADE)
def upgrade(terms: Terms) -> list[float]:
    """In ms, from the feed's send to the worker's read; each record comes once."""
    return [_longest_ms(terms) for _ in range(terms.rounds)]


def _longest_ms(terms: Terms) -> float:
    seconds = 2.0 if terms.quick else 3.0
    setting = Setting(feed.synthetic(terms.build, "160", 1), _PIPES, "latency", seconds=seconds, rate=_RATE)
    socket = terms.build / "upgrade.sock"
    with playing(terms, setting, "--control", str(socket)) as play:
        play.feeder.go()
        _await_records(play, _RATE)
        _upgrade(socket)
        sent = play.feeder.event("sent", _FEED_S, lambda: None)["records"]
        _await_records(play, sent)
        play.stop()
        if _records(play) != sent:
            raise TrialError(f"the workers have {_records(play)} records of {sent}")
        if not any(line["message"] == "upgraded" and line["session"] == "kept" for line in play.lines()):
            raise TrialError("the session was not kept")
        return _workers(play).latency_max_ns / 1e6


def _upgrade(socket: Path) -> None:
    from trade_balancer.control import Control

    with Control(socket) as control:
        control.ask("upgrade")


def _workers(play: Play) -> tally.Tally:
    return tally.merged([play.tally(number) for number in range(_PIPES)])


def _await_records(play: Play, count: int) -> None:
    """Until the workers have so many."""
    deadline_s = time.monotonic() + _FEED_S
    while _records(play) < count:
        if time.monotonic() > deadline_s:
            raise TrialError(f"the workers have {_records(play)} records, expected {count}")
        time.sleep(_POLL_S)


def _records(play: Play) -> int:
    return sum(play.tally(number).records for number in range(_PIPES))
