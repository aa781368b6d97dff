"""The workers of one slot end again and again: told loudly, and, where that is asked, the end of lb, too."""

from __future__ import annotations

import os
import signal

from harness import Feed, Lb, inline, message
from harness.flood import record

NO_FEED = "ws://127.0.0.1:1/stocks"
CRASHES = inline("raise SystemExit(3)")


def test_it_is_told_and_lb_goes_on() -> None:
    with Lb(NO_FEED, 1, "--max-crashes", "2", worker=CRASHES) as lb:
        for _ in range(2):
            lb.await_line("worker ended", exit_code=3)
        line = lb.await_line("workers end too often", level="error", slot=0, ends=2)
        assert line["within_s"] == 60
        lb.await_line("worker started", slot=0)
        lb.stop()


def test_where_that_is_asked_lb_stops_and_the_exit_code_is_69() -> None:
    """What the other workers are to get is delivered before."""
    options = ("--spawn", "per-pipe", "--max-crashes", "3", "--on-crashes", "exit")
    constants = {"lb.slots.supervisor.BRIEF_S": 0.0}
    with Feed() as feed, Lb(feed.url, 2, *options, constants=constants) as lb, feed.session() as peer:
        lb.await_recorders(2)
        for number in range(3):
            pid = lb.await_line("worker started", slot=1)["pid"]
            peer.say(message([record(2 * number), record(2 * number + 1)]))
            lb.await_records(2 * number + 2)
            os.kill(pid, signal.SIGKILL)
        lb.await_line("workers end too often: 3 in slot 1 within 60 s", level="error")
        end = lb.wait()
        assert end.exit_code == 69
        assert end.balance.items() >= {"received": 6, "written": 6, "unread": 0, "exact": True}.items()


def test_so_many_in_different_slots_are_not_too_many() -> None:
    options = ("--spawn", "per-pipe", "--max-crashes", "3", "--on-crashes", "exit")
    with Lb(NO_FEED, 3, *options) as lb:
        for pid in lb.await_recorders(3):
            os.kill(pid, signal.SIGKILL)
        lb.await_recorders(6)
        assert lb.stop().exit_code == 0
