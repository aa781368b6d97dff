"""What one run sends, and how."""

from dataclasses import dataclass
from pathlib import Path

from harness.feed import Feed


@dataclass(frozen=True)
class Setting:
    """Whole passes of a feed, `passes` of them or for `seconds`; with `rate`, `seconds` long that many records/s.

    mode: the worker's, count, latency or dump.
    certificate: the feeder's PEM file; the feed is then wss.
    start_at_once: let the feed begin with the subscription, without waiting for the first CPU sample.
    """

    feed: Feed
    pipes: int
    mode: str = "count"
    passes: int = 0
    seconds: float = 0.0
    rate: int = 0
    bursty: bool = False
    certificate: Path | None = None
    start_at_once: bool = False

    def feeder_options(self) -> list[str]:
        options = ["--records", str(len(self.feed.records))]
        options += ["--passes", str(self.passes)] if self.passes else ["--seconds", str(self.seconds)]
        options += ["--rate", str(self.rate)] if self.rate else []
        options += ["--bursty"] if self.bursty else []
        options += ["--certificate", str(self.certificate)] if self.certificate else []
        return options
