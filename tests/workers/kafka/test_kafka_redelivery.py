"""`lb --redeliver` with `lb-kafka`, against librdkafka's own brokers: what dies takes nothing with it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

import pytest
from harness.feed import Feed
from harness.flood import Flood
from harness.lb_process import Lb
from harness.redelivering import AT_ONCE, LITTLE, REDELIVER, assert_nothing_lost, kill_in_full_flight
from mock_cluster import mock_cluster
from topic_reader import Message, messages


def worker(brokers: str, *more: str) -> tuple[str, ...]:
    known = ("-X", "message.max.bytes=1000000")
    return (
        sys.executable,
        "-m",
        "trade_balancer.kafka.program",
        "--brokers",
        brokers,
        "--topic",
        "trades",
        *known,
        *more,
    )


def assert_all_there(found: Sequence[Message]) -> int:
    """Of each pipe every number, also when whoever has seen a higher one of its symbol and pipe drops a message's
    record. Returns how many records there are."""
    newest: dict[tuple[str, bytes | None], int] = {}
    kept: dict[str, list[int]] = {}
    for message in found:
        of_symbol = (message.source, message.key)
        for number in message.numbers:
            if number > newest.get(of_symbol, -1):
                newest[of_symbol] = number
                kept.setdefault(message.source, []).append(number)
    assert len({source.partition("/")[0] for source in kept}) == 1
    for numbers in kept.values():
        assert sorted(numbers) == list(range(len(numbers)))
    return sum(map(len, kept.values()))


@pytest.mark.parametrize("packing", [(), ("--pack-ms", "5")], ids=["single", "packed"])
def test_a_lb_kafka_that_is_killed_costs_nothing(packing: Sequence[str]) -> None:
    with mock_cluster() as cluster:
        cluster.make_topic("trades", 4)
        command = worker(cluster.brokers, *packing)
        with Feed() as feed, Lb(feed.url, 2, *REDELIVER, *LITTLE, worker=command, constants=AT_ONCE) as lb:
            with feed.session() as peer, Flood(peer):
                kill_in_full_flight(lb, 2, times=3)
            end = lb.stop()
        assert_nothing_lost(end.balance, end.balance["received"])
        assert end.exit_code == 0
        assert assert_all_there(messages(cluster.brokers, ["trades"])) == end.balance["received"]


def test_a_lb_that_is_killed_costs_nothing_that_it_had_written() -> None:
    """Its workers hand over what is in their pipes, and end."""
    with mock_cluster() as cluster:
        cluster.make_topic("trades", 4)
        command = worker(cluster.brokers)
        with (
            Feed() as feed,
            Lb(feed.url, 2, *REDELIVER, *LITTLE, worker=command) as lb,
            feed.session() as peer,
            Flood(peer),
        ):
            while not sum(written := lb.balance()["acknowledged"]):
                pass
            lb.send_signal(signal.SIGKILL)
            assert lb.wait().exit_code == -signal.SIGKILL  # when its workers have ended, too
        assert assert_all_there(messages(cluster.brokers, ["trades"])) >= sum(written)
