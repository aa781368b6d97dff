"""What it costs that the pump's memory is a file that outlives its process."""

from pathlib import Path

from harness import feed
from harness.errors import TrialError
from harness.faults.play import Play, playing
from harness.programs import PRIVATE_MEMORY
from harness.rows import Terms
from harness.setting import Setting
from harness.upgrade import row

MEMFD = "throughput with the pump's memory in a memfd, to private memory"

_PIPES = 16
_FEED_S = 120.0


@row(MEMFD)
def memory(terms: Terms) -> list[float]:
    return [_rate(terms, is_private=False) / _rate(terms, is_private=True) for _ in range(terms.rounds)]


def _rate(terms: Terms, *, is_private: bool) -> float:
    """Records per second, from the workers' first read to their last."""
    setting = Setting(feed.synthetic(terms.build, "160", 20), _PIPES, seconds=terms.seconds)
    preload = str(terms.build / PRIVATE_MEMORY) if is_private else ""
    with playing(terms, setting, "--dumpable", environment={"LD_PRELOAD": preload}) as play:
        _check_memory(play, is_private=is_private)
        play.feeder.go()
        sent = play.feeder.event("sent", _FEED_S, lambda: None)["records"]
        play.await_received(sent, _FEED_S)
        balance = play.stop()
        workers = [play.tally(number) for number in range(_PIPES)]
    if balance["received"] != sent:
        raise TrialError(f"{sent} records were sent, and the balance is {balance}")
    elapsed_ns = max(each.last_ns for each in workers) - min(each.first_ns for each in workers)
    return sent / elapsed_ns * 1e9


def _check_memory(play: Play, *, is_private: bool) -> None:
    """Only what was meant counts."""
    maps = Path(f"/proc/{play.lb.pid}/maps").read_text()
    if ("/memfd:lb pump" in maps) == is_private:
        raise TrialError(f"the pump's memory is not {'private' if is_private else 'a memfd'}")
