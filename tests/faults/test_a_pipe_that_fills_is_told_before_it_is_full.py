"""A worker that falls behind: the forecast is a warning before reading stops, and its end is told, too."""

from __future__ import annotations

import os
import signal

from harness import Feed, Lb, frame, message
from harness.flood import record


def test_while_there_is_still_time() -> None:
    constants = {"lb.reporter.LOOK_AHEAD_S": 0.05, "lb.balancer.WAITING_BYTES": 1 << 20}
    options = ("--pipe-size", "65536", "--stats-interval", "0.05")
    with Feed() as feed, Lb(feed.url, 1, *options, constants=constants) as lb, feed.session() as peer:
        (worker,) = lb.await_recorders(1)
        os.kill(worker, signal.SIGSTOP)
        sent = 0
        while not (told := [line for line in lb.lines if line["message"] == "a pipe fills up"]):
            peer.send(frame(message(map(record, range(sent, sent + 100)))))
            sent += 100
            lb.await_line("statistics")
        (line,) = told
        assert (line["level"], line["pipe"]) == ("warning", 0)
        assert 0 < line["full_in_s"] < 10
        assert line["held_bytes"] < line["capacity_bytes"] == 65536 + (1 << 20)
        assert lb.balance()["waiting"] > 0
        os.kill(worker, signal.SIGCONT)
        lb.await_records(sent)
        lb.await_line("a pipe fills up no more", level="info", pipe=0)
        assert lb.stop().exit_code == 0
