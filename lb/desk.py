"""Where other programs' wishes are carried out: topics for workers and readers, orders to slots, readers that join.

Law: decides nothing of its own; what can't be done is refused. It asks session, pump and slots, which do not know of
it, and is tended between two runs of the pump.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from lb import logs
from lb.config import Config
from lb.control import Attached, Attachment, Change, Later, Listener, Ports, Refusal, Server, verbs_of
from lb.errors import InternalError
from lb.feed.keeper import Keeper
from lb.feed.topics import ACKNOWLEDGE_S
from lb.feed.venue import Venue
from lb.page import Page
from lb.pump import MOST_READERS, Policy, Pump
from lb.readers import Reader, Readers, Wish
from lb.signals import WakeUps
from lb.slots.allowance import Allowance
from lb.slots.memory import allowed_memory_bytes
from lb.slots.slot import Slot
from lb.slots.supervisor import Supervisor

MOST_TOPICS = 20_000
"""Of all readers together: each that joins or leaves has all of them told anew, and nothing is dealt meanwhile."""
READERS_SHARE = 4
"""Of the memory that lb may use, one part in so many may wait for readers."""

_NEVER_NS = 1 << 62
_POLICIES = {"drop-oldest": Policy.DROP_OLDEST, "drop-newest": Policy.DROP_NEWEST}


def listen(config: Config, allowance: Allowance, adopted: Mapping[str, int] | None) -> Listener | None:
    """Before anything else is done: where another lb serves the path, its session is not to be evicted. `adopted`: the
    listener of the program that had this process before."""
    if config.control is None:
        return None
    allowance.add_descriptors(config.control_clients + 2 * MOST_READERS)
    return Listener(config.control, config.control_group, adopted)


class Desk:
    """To be closed before its `listener`, which is None where nobody may ask. `page`: None where none is served.
    `status` is everything there is to tell; `pushed` the same for those who watch, without the proof that takes time;
    `is_running`: whether no stop has begun."""

    def __init__(
        self, config: Config, listener: Listener | None, page: Page | None, wake_ups: WakeUps,
        pump: Pump, keeper: Keeper, venue: Venue, supervisor: Supervisor, *,
        status: Callable[[], Mapping[str, object]], pushed: Callable[[], Mapping[str, object]],
        stop: Callable[[], None], upgrade: Callable[[], Later], is_running: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._has_workers = config.pipes > 0
        self._pump = pump
        self._keeper = keeper
        self._venue = venue
        self._supervisor = supervisor
        self._is_running = is_running
        self._readers = Readers(pump, venue.topic)
        self._tell_topics()
        self._page = page
        self._server: Server | None = None
        if listener is not None or page is not None:
            verbs = verbs_of(self._ports(status, stop, upgrade))
            self._server = Server(listener, wake_ups, verbs, pushed, config.control_clients)

    def close(self) -> None:
        self.end_readers()
        if self._page is not None:
            self._page.close()
        if self._server is not None:
            self._server.close()

    @property
    def deadline_ns(self) -> int:
        """When tend() has something to do next (CLOCK_MONOTONIC)."""
        page_ns = _NEVER_NS if self._page is None else self._page.deadline_ns
        return page_ns if self._server is None else min(self._server.deadline_ns, page_ns)

    def tend(self, now_ns: int) -> None:
        """Answer who has asked; tell the pump what the feed may send now."""
        if self._keeper.topics.is_retuned:
            self._keeper.topics.is_retuned = False
            self._tell_topics()
        if self._server is not None:
            self._server.tend(now_ns)
            if self._page is not None:
                self._page.tend(now_ns, self._server.join)

    def readers(self) -> list[dict[str, object]]:
        """What there is to tell about each."""
        return self._readers.status()

    @property
    def reader_numbers(self) -> list[int]:
        return self._readers.numbers

    def reader_gone(self, number: int) -> None:
        """The pump has found nobody at the other end of its pipe."""
        if reader := self._readers.get(number):
            self._detach(reader)

    def end_readers(self) -> None:
        """Each sees the end of its pipe."""
        self._readers.close()

    @property
    def is_settled(self) -> bool:
        """Whether nobody waits for an answer that only this program can give."""
        return self._server is None or self._server.is_settled

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another program. To be settled."""
        clients = [] if self._server is None else self._server.hand_over()
        return {"readers": self._readers.hand_over(), "clients": clients}

    def adopt(self, handed_over: Mapping[str, Any], answer: Mapping[str, object]) -> None:
        """Serve those who joined the program before. `answer`: what those are told who asked it for the upgrade."""
        try:
            self._readers.adopt(handed_over["readers"])
        except OSError as error:
            raise InternalError(f"a reader can't go on: {error.strerror}") from None
        clients = [] if self._server is None else self._server.adopt(handed_over["clients"], answer)
        for client, known in zip(clients, handed_over["clients"], strict=True):
            for reader in filter(None, map(self._readers.get, known["readers"])):
                self._keeper.topics.wishes.want(reader, reader.topics)
                client.on_close.append(partial(self._detach, reader))
                client.readers[reader.number] = partial(self._change, reader)
        self._retune()

    @property
    def fds(self) -> list[int]:
        """What another program needs to go on with."""
        page = [] if self._page is None else [self._page.fileno()]
        return [*page, *self._readers.fds, *([] if self._server is None else self._server.fds)]

    def _ports(
        self, status: Callable[[], Mapping[str, object]], stop: Callable[[], None], upgrade: Callable[[], Later]
    ) -> Ports:
        orders = self._supervisor.orders
        return Ports(
            status=status,
            restart=lambda number: self._order(number, "restarted", orders.replace),
            pause=lambda number: self._order(number, "paused", orders.pause),
            resume=lambda number: self._order(number, "resumed", orders.resume),
            subscribe=self._subscribe,
            unsubscribe=self._unsubscribe,
            attach=self._attach,
            log_level=logs.set_level,
            stop=stop,
            upgrade=upgrade,
        )

    def _subscribe(self, topics: Sequence[str]) -> Later:
        """More topics for the workers, from now on and in the sessions to come."""
        self._check(topics)
        wishes = self._keeper.topics.wishes
        wishes.base = tuple(dict.fromkeys([*wishes.base, *topics]))
        self._retune()
        rejected_before = len(self._keeper.topics.subscriptions.rejected)
        until_ns = time.monotonic_ns() + int(ACKNOWLEDGE_S * 1e9)

        def look() -> Mapping[str, object] | None:
            subscriptions = self._keeper.topics.subscriptions
            missing = [topic for topic in topics if not wishes.is_covered(topic, subscriptions.acknowledged)]
            rejected = subscriptions.rejected[rejected_before:]
            if missing and len(rejected) < len(missing) and time.monotonic_ns() < until_ns:
                return None
            word = "rejected" if rejected else "unacknowledged"
            return {
                "topics": {topic: word if topic in missing else "acknowledged" for topic in topics},
                "said": rejected,
            }

        return Later(look, until_ns)

    def _unsubscribe(self, topics: Sequence[str]) -> Later:
        """These no more for the workers."""
        wishes = self._keeper.topics.wishes
        if unknown := [topic for topic in topics if topic not in wishes.base]:
            raise Refusal("bad-argument", f"workers have no topic {', '.join(unknown)[:80]}")
        sent = self._keeper.topics.subscriptions.acknowledged
        wishes.base = tuple(topic for topic in wishes.base if topic not in topics)
        self._retune()
        until_ns = time.monotonic_ns() + int(ACKNOWLEDGE_S * 1e9)

        def look() -> Mapping[str, object] | None:
            subscriptions = self._keeper.topics.subscriptions
            wanted = [topic for topic in topics if wishes.is_covered(topic, subscriptions.wanted)]
            left = [topic for topic in topics if topic in subscriptions.brought & sent and topic not in wanted]
            if left and time.monotonic_ns() < until_ns:
                return None
            words = dict.fromkeys(wanted, "still wanted") | dict.fromkeys(left, "unacknowledged")
            return {"topics": {topic: words.get(topic, "unsubscribed") for topic in topics}, "said": []}

        return Later(look, until_ns)

    def _attach(self, asked: Attachment) -> Attached:
        """A reader joins."""
        if not self._is_running():
            raise Refusal("not-possible", "lb stops")
        self._check([topic for topic in asked.topics if topic != "*"])
        self._check_room(asked)
        try:
            wish = Wish(asked.topics, _POLICIES[asked.policy], asked.markers, asked.pipe_size, asked.backlog)
            reader, read_fd = self._readers.attach(wish)
        except OSError as error:
            raise Refusal("not-possible", f"no reader can be attached: {error.strerror}") from None
        self._keeper.topics.wishes.want(reader, asked.topics)
        self._retune()
        result = {"reader": reader.number, "pipe_size": reader.pipe_size_bytes}
        return Attached(reader.number, result, read_fd, partial(self._change, reader), partial(self._detach, reader))

    def _change(self, reader: Reader, change: Change) -> None:
        """A reader wants other topics, in the pipe that it has. What is in there stays."""
        if self._readers.get(reader.number) is not reader:
            raise Refusal("not-possible", f"reader {reader.number} has left")
        self._check([topic for topic in change.add if topic != "*"])
        topics = [*dict.fromkeys([*(one for one in reader.topics if one not in change.remove), *change.add])]
        self._check_topics_room(len(topics) - len(reader.topics))
        self._readers.change(reader, topics)
        self._keeper.topics.wishes.want(reader, topics)
        self._retune()
        self._keeper.begin_anew([topic for topic in change.again if topic in topics])

    def _detach(self, reader: Reader) -> None:
        if self._readers.detach(reader):
            self._keeper.topics.wishes.release(reader, time.monotonic_ns())
            self._retune()

    def _check(self, topics: Sequence[str]) -> None:
        for topic in topics:
            if not self._venue.is_topic(topic):
                raise Refusal("bad-argument", f"{self._venue.name} has no topics of the form {topic[:80]}")

    def _check_room(self, asked: Attachment) -> None:
        self._check_topics_room(len(asked.topics))
        most_bytes = allowed_memory_bytes() // READERS_SHARE
        if self._readers.most_bytes + asked.pipe_size + asked.backlog > most_bytes:
            raise Refusal("not-possible", f"readers' pipes and backlogs may have {most_bytes} bytes in all")

    def _check_topics_room(self, more: int) -> None:
        if more > 0 and self._readers.topics_total + more > MOST_TOPICS:
            raise Refusal("not-possible", f"readers may have {MOST_TOPICS} topics in all; one such as T.* is one")

    def _retune(self) -> None:
        """Somebody wants other topics: the feed is asked, and before it can answer it is said who gets what."""
        self._keeper.retune()
        self._tell_topics()

    def _tell_topics(self) -> None:
        wishes = self._keeper.topics.wishes
        of_pipes = None
        if not self._has_workers:
            of_pipes = []
        elif wishes.exceed(self._keeper.topics.subscriptions.brought):
            of_pipes = [*map(self._venue.topic, (*wishes.base, *self._venue.unasked))]
        try:
            self._pump.set_topics(self._readers.topics(), of_pipes)
        except OSError as error:
            raise InternalError(f"topics can't be told: {error.strerror}") from None

    def _order(self, number: int, what: str, carry_out: Callable[[Slot], bool]) -> None:
        """Give an order that concerns the worker of a slot."""
        slots = self._supervisor.slots
        if not 0 <= number < len(slots):
            raise Refusal("bad-argument", f"there is no slot {number}: they are 0 to {len(slots) - 1}")
        if not carry_out(slots[number]):
            raise Refusal("not-possible", f"slot {number} can't be {what}: lb stops, or no worker of ours is there")
