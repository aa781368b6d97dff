"""What a message tells of its way: when its records were read for Kafka, and when the brokers had them.

Law: no I/O. Times are those of the clocks of three machines; what they disagree by is not ours to know.
"""

from __future__ import annotations

from typing import NamedTuple

from trade_balancer.kafka.inbox import Sample
from trade_balancer.tally import stamp_ms_of

_NS_PER_MS = 1_000_000


class Journey(NamedTuple):
    """Of one message, in ms since 1970."""

    own_ms: float | None
    """The time of its first record; None: it has none."""
    read_ms: float
    """`lb-kafka` has read it (header `producerTime`)."""
    kept_ms: float | None
    """The broker has written it into its log; None: the topic's messages bear other times (message.timestamp.type)."""

    def hops_ms(self, here_ms: float) -> dict[str, float]:
        """By hop, to who has it at that moment; where nothing parts `produce` from `consume`, that is both."""
        hops = {"consume": here_ms - (self.read_ms if self.kept_ms is None else self.kept_ms)}
        if self.own_ms is not None:
            hops["receive"] = self.read_ms - self.own_ms
        if self.kept_ms is not None:
            hops["produce"] = self.kept_ms - self.read_ms
        return hops


def journey_of(sample: Sample) -> Journey | None:
    """None: it is not lb-kafka's."""
    if not sample.told.isdigit():
        return None
    kept_ms = sample.time_ms if sample.is_brokers_time else None
    return Journey(stamp_ms_of(sample.record), int(sample.told) / _NS_PER_MS, kept_ms)
