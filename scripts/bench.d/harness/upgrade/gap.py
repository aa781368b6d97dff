"""For how long records stand still while another program takes lb's process over, and after lb was killed."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from harness import feed, tally
from harness.errors import TrialError
from harness.faults.play import Play, playing, wanted_option
from harness.rows import Terms
from harness.setting import Setting
from harness.upgrade import row

UPGRADE = "longest way of a record at 100k records/s, with an upgrade in the middle"
CRASH = "the same with kill -9 in the middle, under lb --keeper"

_PIPES = 4
_RATE = 100_000
_FEED_S = 120.0
_POLL_S = 0.002


@row(UPGRADE)
def upgrade(terms: Terms) -> list[float]:
    """In ms, from the feed's send to the worker's read; each record comes once."""
    socket = terms.build / "upgrade.sock"
    options = ("--control", str(socket))
    return [_longest_ms(terms, options, lambda _: _upgrade(socket), "upgraded") for _ in range(terms.rounds)]


@row(CRASH)
def crash(terms: Terms) -> list[float]:
    """In ms, as above. Workers that read something when lb was killed end with it, and have successors: what those had
    not booked is not looked for."""
    wanted_option("--keeper")
    return [_longest_ms(terms, ("--keeper",), _kill, "lb was killed: taken over") for _ in range(terms.rounds)]


def _longest_ms(terms: Terms, options: tuple[str, ...], disturb: Callable[[Play], None], sign: str) -> float:
    seconds = 2.0 if terms.quick else 3.0
    setting = Setting(feed.synthetic(terms.build, "160", 1), _PIPES, "latency", seconds=seconds, rate=_RATE)
    with playing(terms, setting, *options) as play:
        play.feeder.go()
        _await(lambda: _records(play) >= _RATE)
        disturb(play)
        sent = play.feeder.event("sent", _FEED_S, lambda: None)["records"]
        _await(lambda: any(line["message"] == sign and line["session"] == "kept" for line in play.lines()))
        play.await_received(sent, _FEED_S)
        balance = play.stop()
        if balance["received"] != sent or (sign == "upgraded" and _records(play) != sent):
            raise TrialError(
                f"{sent} records were sent, the workers have {_records(play)}, and the balance is {balance}"
            )
        return _workers(play).latency_max_ns / 1e6


def _upgrade(socket: Path) -> None:
    from trade_balancer.control import Control

    with Control(socket) as control:
        control.ask("upgrade")


def _kill(play: Play) -> None:
    """The lb, and not its keeper."""
    keeper = play.lb.pid
    (lb,) = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    os.kill(int(lb), signal.SIGKILL)


def _workers(play: Play) -> tally.Tally:
    return tally.merged([play.tally(number) for number in range(_PIPES)])


def _records(play: Play) -> int:
    return sum(play.tally(number).records for number in range(_PIPES))


def _await(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _FEED_S
    while not is_so():
        if time.monotonic() > deadline_s:
            raise TrialError(f"waited {_FEED_S:g} s in vain")
        time.sleep(_POLL_S)
