"""What it costs to keep each record until its worker has acknowledged it."""

from harness import feed
from harness.errors import TrialError
from harness.faults import row
from harness.faults.play import Play, playing, wanted_option
from harness.rows import Terms
from harness.setting import Setting

REDELIVER = "throughput with --redeliver, to without"

_PIPES = 4
_FEED_S = 120.0


@row(REDELIVER)
def redeliver(terms: Terms) -> list[float]:
    """The workers walk the records' lengths in both runs; in one they acknowledge, every half a MiB or 20 ms."""
    wanted_option("--redeliver")
    return [_bytes_per_s(terms, "--redeliver") / _bytes_per_s(terms) for _ in range(terms.rounds)]


def _bytes_per_s(terms: Terms, *options: str) -> float:
    """From the first read of any worker to the last."""
    setting = Setting(feed.synthetic(terms.build, "160", 20), _PIPES, "frames", seconds=terms.seconds)
    with playing(terms, setting, *options) as play:
        play.feeder.go()
        sent = play.feeder.event("sent", _FEED_S, lambda: None)["records"]
        play.await_received(sent, _FEED_S)
        balance = play.stop()
        if not balance["received"] == sum(balance.get("acknowledged", [sent])) == sent:
            raise TrialError(f"{sent} records were sent, and the balance is {balance}")
        return _rate(play)


def _rate(play: Play) -> float:
    tallies = [play.tally(number) for number in range(_PIPES)]
    elapsed_ns = max(each.last_ns for each in tallies) - min(each.first_ns for each in tallies)
    return sum(each.bytes for each in tallies) / elapsed_ns * 1e9
