"""received = acknowledged + waiting + failed at any moment, and a batch is finished when all of its records are."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from feeding import framed
from mock_cluster import PRODUCE, MockCluster, mock_cluster
from topic_reader import messages

from trade_balancer.errors import UsageError
from trade_balancer.kafka.library import library
from trade_balancer.kafka.outbox import AnyOutbox, Outbox
from trade_balancer.kafka.plain_outbox import PlainOutbox
from trade_balancer.kafka.rules import rules_of

SETTINGS = {
    "enable.idempotence": "true",
    "queue.buffering.max.messages": "60",
    "message.timeout.ms": "0",
    "message.max.bytes": "2000",
    "max.in.flight": "1",  # these brokers take a request also where the one before it has failed
    "linger.ms": "1",
    "retry.backoff.ms": "5",
    "retry.backoff.max.ms": "10",
    "log_level": "2",
}
NOT_LEADER, TIMED_OUT = 6, 7

Make = Callable[[str], AnyOutbox]


def in_c(is_packing: bool) -> Make:
    return lambda brokers: Outbox(
        library(), SETTINGS | {"bootstrap.servers": brokers}, rules_of(["trades"]), is_packing, 1500
    )


def in_python(brokers: str) -> AnyOutbox:
    return PlainOutbox(SETTINGS | {"bootstrap.servers": brokers}, rules_of(["trades"]))


def record(number: int, pad_bytes: int) -> bytes:
    return b'{"ev":"T","sym":"S%d","q":%d,"pad":"%s"}' % (number % 7, number, b"x" * pad_bytes)


class Steps:
    """Takes records 0, 1, 2 ... of one pipe, and compares the account with a simple one after each step."""

    def __init__(self, outbox: AnyOutbox, chance: random.Random) -> None:
        self._outbox = outbox
        self._chance = chance
        self._pipe = outbox.pipe("run/3/", 0)
        self.sent: list[bytes] = []
        self._ends: list[int] = []
        """By batch, how many records had been taken with it and those before."""
        self._done = self._acknowledged = 0

    def take(self) -> None:
        pads = self._chance.choices([0, 30, 400, 5000], [20, 20, 5, 1], k=self._chance.randrange(1, 40))
        offered = [record(len(self.sent) + place, pad) for place, pad in enumerate(pads)]
        frames = memoryview(framed(offered))
        taken = self._outbox.take(self._pipe, frames)
        accepted = offered[: taken.records]
        assert taken.consumed_bytes == len(framed(accepted))
        assert taken.is_full is (len(accepted) < len(offered))
        assert not accepted or bytes(taken.newest) == accepted[-1]
        self.sent += accepted

    def close_batch(self) -> None:
        if self._outbox.flush():
            assert self._outbox.close_batch() == len(self._ends) + 1
            self._ends.append(len(self.sent))

    def poll(self) -> None:
        done = self._outbox.poll(self._chance.choice([0, 0, 5]))
        assert self._done <= done <= len(self._ends)
        self._done = done
        account = self._outbox.account()
        assert account.acknowledged + account.failed >= ([0, *self._ends][done])

    def check(self) -> None:
        account = self._outbox.account()
        assert account.received == len(self.sent) == account.acknowledged + account.waiting + account.failed
        assert min(account.waiting, account.failed) >= 0
        assert account.acknowledged >= self._acknowledged
        assert account.failed <= sum(len(one) > 2000 for one in self.sent)
        self._acknowledged = account.acknowledged

    def finish(self) -> None:
        while self._outbox.account().waiting or self._done < len(self._ends):
            self._outbox.flush()
            self.poll()
            self.check()


def disturb(cluster: MockCluster, chance: random.Random) -> None:
    cluster.push_errors(PRODUCE, chance.choices([NOT_LEADER, TIMED_OUT], k=2))


@pytest.mark.parametrize("make", [in_c(False), in_c(True), in_python], ids=["single", "packed", "in-python"])
def test_the_account_is_exact_after_each_step(make: Make) -> None:
    chance = random.Random(7)
    with mock_cluster() as cluster:
        outbox = make(cluster.brokers)
        steps = Steps(outbox, chance)
        for _ in range(400):
            chance.choices([steps.take, steps.close_batch, steps.poll, lambda: disturb(cluster, chance)], [8, 3, 8, 1])[
                0
            ]()
            steps.check()
        steps.close_batch()
        steps.finish()
        account = outbox.account()
        outbox.close()
        large = [one for one in steps.sent if len(one) > 2000]
        assert (account.waiting, account.failed) == (0, len(large))
        there = [one for message in messages(cluster.brokers, ["trades"]) for one in message.records]
        assert sorted(there) == sorted((number, one) for number, one in enumerate(steps.sent) if len(one) <= 2000)
        for symbol in range(7):
            numbers = [number for number, _ in there if number % 7 == symbol]
            assert numbers == sorted(numbers)


def test_more_pipes_than_there_is_room_for_are_refused() -> None:
    outbox = in_c(False)("127.0.0.1:1")
    assert [outbox.pipe("run/3/", 0) for _ in range(1024)] == list(range(1024))
    with pytest.raises(UsageError, match="1024 pipes at most"):
        outbox.pipe("run/3/", 0)
