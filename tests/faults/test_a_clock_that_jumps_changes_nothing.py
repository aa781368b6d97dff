"""The time of day jumps by years, forward and back, with every look at it: sessions, back-off, statistics and the stop
go by another clock."""

from __future__ import annotations

from pathlib import Path

from harness import SOON, Feed, Lb, message
from harness.flood import record
from harness.preload import JUMPING_CLOCK, preload


def test_records_flow_over_sessions_and_the_stop_is_exact(tmp_path: Path) -> None:
    with (
        Feed() as feed,
        Lb(feed.url, 2, "--stats-interval", "0.05", constants=SOON, environment=preload(tmp_path, JUMPING_CLOCK)) as lb,
    ):
        for session in range(3):
            with feed.session() as peer:
                lb.await_line("session open")
                peer.say(message([record(2 * session), record(2 * session + 1)]))
                lb.await_records(2 * session + 2)
                lb.await_line("statistics")
        end = lb.stop()
        assert (end.exit_code, end.balance["received"], end.balance["exact"]) == (0, 6, True)
        assert 0 <= end.statistics["records_per_s"] <= 6_000_000
        years = {int(line["time"][:4]) for line in lb.lines if "time" in line}
        assert max(years) - min(years) == 20  # lb has really looked at that clock
