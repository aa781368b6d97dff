"""What clients get, against a model of a few lines: whatever comes, and whoever is slow when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from trade_balancer.emit.audience import Audience
from trade_balancer.emit.board import NEVER, Board
from trade_balancer.emit.counters import Counters
from trade_balancer.emit.forms import FORMS, topics_of
from trade_balancer.emit.group import NO_FD, Group, Shape
from trade_balancer.frames import LENGTH_BYTES

EVENTS = ("T", "XQ")
SYMBOLS = ("A", "B.Ä\n")
TOPICS = [f"{event}.{symbol}" for event in EVENTS for symbol in SYMBOLS]
WORDS = [*TOPICS, "T.*", "XQ.*", "*", "T.UNHEARD"]
PRICES = (297.845, 4.522e-05, 123456789.12345679, 12.0, 0.1, None)


def payload(frame: bytes) -> bytes:
    """Of one frame that is all there is."""
    reader = StreamReader()
    reader.feed_data(frame)
    reader.feed_eof()
    parsing = Frame.parse(reader.read_exact, mask=False, max_size=None)
    with pytest.raises(StopIteration) as parsed:
        next(parsing)
    assert parsed.value.value.opcode is Opcode.TEXT
    assert not reader.buffer
    return bytes(parsed.value.value.data)


def record(topic: str, price: float | None, number: int) -> bytes:
    event, _, symbol = topic.partition(".")
    members: dict[str, Any] = {"ev": event, FORMS[event].symbol: symbol, "t": number}
    members |= dict.fromkeys(FORMS[event].members[:-1], price)
    return json.dumps(members).encode()


def framed(*records: bytes) -> memoryview:
    return memoryview(b"".join(len(each).to_bytes(LENGTH_BYTES, "little") + each for each in records))


def is_asked(topic: str, words: frozenset[str]) -> bool:
    return bool({topic, topic.partition(".")[0] + ".*"} & words)


class Client:
    """Takes frames, and knows what it should have got."""

    def __init__(self) -> None:
        self.group: Group | None = None
        self.got = NEVER
        self.seen = 0
        self.is_behind = False
        self.fd = NO_FD
        self.words: frozenset[str] = frozenset()
        self.frames: list[bytes] = []
        self.values: dict[str, Any] = {}
        self.changes = 0
        """Of its topics, since it has joined."""
        self.told = 0
        self.skipped = 0
        self.is_new = True

    def write(self, frame: bytes) -> None:
        assert not self.is_behind
        self.frames.append(frame)

    def read(self, newest: dict[str, tuple[bytes, list[Any]]], shape: Shape) -> None:
        """The frame of this tick, if there is one: all in it is the newest, and only what was asked for."""
        if not self.frames:
            return
        (frame,) = self.frames
        self.frames.clear()
        said = json.loads(payload(frame))
        if shape is Shape.VALUES:
            found = {f"{ev}.{sym}": value for ev in EVENTS for sym, value in said.get(ev, {}).items()}
            assert found == {topic: newest[topic][1] for topic in found}
            self.skipped += said["skipped"]
        else:
            found = {f"{each['ev']}.{each[FORMS[each['ev']].symbol]}": each for each in said}
            assert len(found) == len(said)
            assert found == {topic: json.loads(newest[topic][0]) for topic in found}
        assert found
        assert all(is_asked(topic, self.words) for topic in found)
        self.values |= found
        if not self.is_new:
            self.told += len(found)


class Model:
    def __init__(self, shape: Shape, clients: int) -> None:
        self.shape = shape
        self.board = Board()
        self.counters = Counters.alone()
        self.audience = Audience(self.board, self.counters, lambda: 0)
        self.clients = [Client() for _ in range(clients)]
        self.newest: dict[str, tuple[bytes, list[Any]]] = {}
        self.coming: set[str] = set()
        self.number = 0

    def come(self, topic: str, price: float | None) -> None:
        self.number += 1
        text = record(topic, price, self.number)
        self.board.take(framed(text), 0)
        event = topic.partition(".")[0]
        self.newest[topic] = text, [*[price] * (len(FORMS[event].members) - 1), self.number]
        self.coming.add(topic)

    def subscribe(self, client: Client, words: frozenset[str]) -> None:
        client.words = frozenset(topics_of(words)[0])
        self.audience.place(client, client.words, self.shape)
        client.is_new, client.values = True, {}
        client.changes = client.told = client.skipped = 0

    def tick(self) -> None:
        self.audience.tick()
        by_state: dict[object, set[int]] = {}
        for client in self.clients:
            client.changes += sum(is_asked(topic, client.words) for topic in self.coming)
            assert len(client.frames) <= 1
            for frame in client.frames:
                by_state.setdefault(client.group, set()).add(id(frame))
            client.read(self.newest, self.shape)
            if client.is_new and not client.is_behind:  # now it has what there was
                client.is_new, client.changes = False, 0
        self.coming.clear()

    def check(self) -> None:
        """Once nobody is behind: all have the newest, and what they were not told they were told to have skipped."""
        for client in self.clients:
            client.is_behind = False
        self.tick()
        for client in self.clients:
            assert client.values == {
                topic: json.loads(text) if self.shape is Shape.RECORDS else value
                for topic, (text, value) in self.newest.items()
                if is_asked(topic, client.words)
            }
            if self.shape is Shape.VALUES:
                assert client.told + client.skipped == client.changes


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    one = st.one_of(
        st.tuples(st.just("come"), st.lists(st.tuples(st.sampled_from(TOPICS), st.sampled_from(PRICES)), max_size=3)),
        st.tuples(st.just("behind"), st.integers(0, 2)),
        st.tuples(st.just("subscribe"), st.integers(0, 2), st.frozensets(st.sampled_from(WORDS), max_size=4)),
    )
    return draw(st.lists(one, max_size=30))


@given(
    shape=st.sampled_from(Shape),
    asked=st.lists(st.frozensets(st.sampled_from(WORDS), max_size=4), min_size=3, max_size=3),
    done=steps(),
)
def test_clients_have_the_newest_and_the_count_of_what_they_have_not_seen(
    shape: Shape, asked: list[frozenset[str]], done: list[tuple[Any, ...]]
) -> None:
    model = Model(shape, len(asked))
    for client, words in zip(model.clients, asked, strict=True):
        model.subscribe(client, words)
    for what, *rest in done:
        if what == "come":
            for topic, price in rest[0]:
                model.come(topic, price)
            model.tick()
        elif what == "behind":
            model.clients[rest[0]].is_behind = not model.clients[rest[0]].is_behind
        else:
            model.subscribe(model.clients[rest[0]], rest[1])
    model.check()


def batches() -> Iterator[list[tuple[str, float | None]]]:
    yield [(topic, price) for topic in TOPICS for price in PRICES]
    yield [("T.A", 1.0)] * 5
    yield [(f"T.S{number}", 1.0) for number in range(3000)]


def test_of_many_records_in_one_read_the_last_of_each_topic_counts() -> None:
    board = Board()
    audience = Audience(board, Counters.alone(), lambda: 0)
    client = Client()
    audience.place(client, frozenset(topics_of(["*"])[0]), Shape.RECORDS)
    newest: dict[str, bytes] = {}
    for batch in batches():
        texts = [(topic, record(topic, price, number)) for number, (topic, price) in enumerate(batch)]
        newest |= dict(texts)
        board.take(framed(*(text for _, text in texts), b'{"ev":"T","p":1}', b'{"ev":"T","sym":"","p":1}'), 0)
        audience.tick()
        (frame,) = client.frames
        client.frames.clear()
        assert sorted(map(json.dumps, json.loads(payload(frame)))) == sorted(
            json.dumps(json.loads(text)) for text in dict(texts).values()
        )


def test_those_who_keep_up_share_one_frame() -> None:
    board = Board()
    audience = Audience(board, Counters.alone(), lambda: 0)
    same, other = frozenset({"T.A", "T.B"}), frozenset({"T.A"})
    clients = [Client() for _ in range(4)]
    for client, topics in zip(clients, (same, same, frozenset(same), other), strict=True):
        audience.place(client, topics, Shape.VALUES)
    board.take(framed(record("T.A", 1.0, 1)), 0)
    audience.tick()
    frames = [client.frames.pop() for client in clients]
    assert frames[0] is frames[1] is frames[2] is not frames[3]
    clients[1].is_behind = True
    board.take(framed(record("T.A", 2.0, 2)), 0)
    audience.tick()
    clients[1].is_behind = False
    audience.tick()
    assert json.loads(payload(clients[1].frames.pop()))["T"] == {"A": [2, 2, 2]}
    assert [len(client.frames) for client in clients] == [1, 0, 1, 1]


def test_what_is_skipped_is_counted_for_whom_it_is_skipped() -> None:
    board, counters = Board(), Counters.alone()
    audience = Audience(board, counters, lambda: 0)
    awake, asleep = Client(), Client()
    for client in (awake, asleep):
        audience.place(client, frozenset({"T.A", "T.B"}), Shape.VALUES)
    for number in range(5):  # the first is not skipped by anybody: all have it
        board.take(framed(record("T.A", 1.0, number), record("T.A", 2.0, number)), 0)
        if number == 3:
            board.take(framed(record("T.B", 1.0, number)), 0)
        audience.tick()
        asleep.is_behind = True
    asleep.is_behind = False
    audience.tick()
    assert [json.loads(payload(frame))["skipped"] for frame in awake.frames] == [0] * 5
    assert [json.loads(payload(frame))["skipped"] for frame in asleep.frames] == [0, 3]
    assert {name: counters[name] for name in ("frames", "values", "skipped")} == {
        "frames": 7,
        "values": 9,
        "skipped": 3,
    }


def test_who_asks_for_the_same_again_within_a_tick_gets_one_frame() -> None:
    board = Board()
    audience = Audience(board, Counters.alone(), lambda: 0)
    clients = [Client() for _ in range(2)]
    for client in (*clients, *clients, *clients):
        audience.place(client, frozenset({"T.A"}), Shape.VALUES)
    board.take(framed(record("T.A", 1.0, 1)), 0)
    audience.tick()
    for client in (*clients, clients[0]):
        audience.place(client, frozenset({"T.A"}), Shape.VALUES)
    audience.tick()  # of which nothing has changed
    audience.tick()
    assert [len(client.frames) for client in clients] == [2, 2]


def test_nobody_s_leaving_keeps_anything() -> None:
    audience = Audience(Board(), Counters.alone(), lambda: 0)
    clients = [Client() for _ in range(3)]
    for client in clients:
        audience.place(client, frozenset({"T.A"}), Shape.VALUES)
    audience.place(clients[0], frozenset({"T.B"}), Shape.VALUES)
    assert audience.groups == 2
    for client in clients:
        audience.dismiss(client)
        audience.dismiss(client)
    assert audience.groups == 0
    audience.tick()
    assert [client.frames for client in clients] == [[]] * 3
