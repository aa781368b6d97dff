"""What is not acknowledged is written once more after a reader's death: nothing is lost, whatever comes when.

The model of a pipe: the records dealt to it, in order. A reader's first record is the first that its predecessors have
not acknowledged; from there on it gets one after the other, each from its begin.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import model
import strategies
from hypothesis import example, given
from hypothesis import strategies as st
from model import TEXT, Frame
from pumping import Rig
from test_pump_memory import resident_bytes

from lb.pump import Route, Vectors


def padded(length: int) -> bytes:
    return b'{"a":"' + b"x" * (length - 8) + b'"}' if length >= 8 else b"{" + b" " * (length - 2) + b"}"


@dataclass
class Reader:
    """One of a pipe's readers. `first`: the number of its first record."""

    first: int
    taken: bytearray = field(default_factory=bytearray)

    def records(self) -> tuple[list[bytes], bytes]:
        """What it has got whole, and the part of a frame behind that."""
        records, at = [], 0
        while at + 4 <= len(self.taken):
            end = at + 4 + int.from_bytes(self.taken[at : at + 4], "little")
            if end > len(self.taken):
                break
            records.append(bytes(self.taken[at + 4 : end]))
            at = end
        return records, bytes(self.taken[at:])


class Retaining(Rig):
    """A rig whose readers acknowledge, die and have successors."""

    def __init__(self, pipes: int, **values: int | Route | Vectors) -> None:
        super().__init__(pipes=pipes, retains=True, **values)  # type: ignore[arg-type]
        self.readers = [[Reader(0)] for _ in range(pipes)]
        self.acknowledged = [0] * pipes
        self.redelivered = [0] * pipes
        self.acknowledges_all = False

    def read(self, pipe: int, most_bytes: int) -> bytes:
        got = super().read(pipe, most_bytes)
        self.readers[pipe][-1].taken += got
        if self.acknowledges_all:
            self.acknowledge(pipe, 1 << 62)
        return got

    def acknowledge(self, pipe: int, records: int) -> None:
        """Of those that the reader has got whole, at most so many more."""
        reader = self.readers[pipe][-1]
        got_total = reader.first + len(reader.records()[0])
        self.acknowledged[pipe] = max(self.acknowledged[pipe], min(self.acknowledged[pipe] + records, got_total))
        assert self.pump.acknowledge(pipe, self.acknowledged[pipe])
        self.check(pipe)

    def die(self, pipe: int) -> None:
        written = self.pump.pipe_counters(pipe).written_total
        assert self.redeliver(pipe) == written - self.acknowledged[pipe]
        self.redelivered[pipe] += written - self.acknowledged[pipe]
        self.readers[pipe].append(Reader(self.acknowledged[pipe]))
        self.check(pipe)

    def check(self, pipe: int) -> None:
        counters = self.pump.pipe_counters(pipe)
        assert counters.acknowledged_total == self.acknowledged[pipe]
        assert counters.redelivered_total == self.redelivered[pipe]
        assert counters.unacknowledged_records == counters.written_total - self.acknowledged[pipe]
        self.check_balance()

    def assert_nothing_lost(self, dealt: list[list[bytes]]) -> None:
        """Each reader got the records from its first on, and so all of them together got all."""
        for pipe, records in enumerate(dealt):
            seen = 0
            for reader in self.readers[pipe]:
                got, part = reader.records()
                assert reader.first <= seen
                assert got == records[reader.first : reader.first + len(got)]
                seen = max(seen, reader.first + len(got))
                rest = b"".join(
                    len(record).to_bytes(4, "little") + record for record in records[reader.first + len(got) :][:1]
                )
                assert rest.startswith(part)
            assert seen == len(records)
            counters = self.pump.pipe_counters(pipe)
            unacknowledged = sum(
                len(record) + 4 for record in records[self.acknowledged[pipe] : counters.written_total]
            )
            assert counters.unacknowledged_bytes == unacknowledged


STEPS = st.lists(
    st.tuples(
        st.just("send"), st.lists(strategies.trades() | st.integers(2, 6000).map(padded), min_size=1, max_size=12)
    )
    | st.tuples(st.just("read"), st.integers(1, 300) | st.integers(1, 1 << 17))
    | st.tuples(st.just("acknowledge"), st.integers(0, 30))
    | st.tuples(st.just("die"), st.just(0)),
    max_size=40,
)


@given(
    steps=STEPS,
    pipes=st.sampled_from([1, 2]),
    pipe_size_bytes=st.sampled_from([4096, 8192, 1 << 16]),
    high_water_bytes=st.sampled_from([1, 1000, 20_000, 1 << 18]),
    vectors=st.sampled_from(Vectors),
)
@example(  # the third is too long behind the second; behind it there is room for two
    steps=[("send", [padded(length) for length in (71, 154, 839, 71, 71, 71)]), ("read", 75), ("acknowledge", 1)],
    pipes=1,
    pipe_size_bytes=4096,
    high_water_bytes=1000,
    vectors=Vectors.BASELINE,
)
def test_whatever_comes_when_the_readers_together_get_all(
    steps: list[tuple[str, list[bytes] | int]],
    pipes: int,
    pipe_size_bytes: int,
    high_water_bytes: int,
    vectors: Vectors,
) -> None:
    expected = model.Model(pipes, model.ROUND_ROBIN, 1 << 20)
    with Retaining(pipes, pipe_size_bytes=pipe_size_bytes, high_water_bytes=high_water_bytes, vectors=vectors) as rig:
        for turn, (what, value) in enumerate(steps):
            pipe = turn % pipes
            if isinstance(value, list):
                frames = [Frame(TEXT, b"[" + b",".join(value) + b"]")]
                expected.session(frames)
                rig.send_frames(frames)
            elif what == "read":
                rig.read(pipe, value)
                rig.run()
            elif what == "acknowledge":
                rig.acknowledge(pipe, value)
            else:
                rig.die(pipe)
        rig.acknowledges_all = True
        rig.finish()
        rig.assert_nothing_lost(expected.pipes)
        counters = [rig.pump.pipe_counters(pipe) for pipe in range(pipes)]
        assert [pipe.written_total for pipe in counters] == [len(records) for records in expected.pipes]
        assert not any(pipe.unacknowledged_records or pipe.unacknowledged_bytes for pipe in counters)


def test_more_than_was_written_can_not_be_acknowledged() -> None:
    with Retaining(1) as rig:
        rig.send_frames([Frame(TEXT, b'[{"a":1},{"a":2}]')])
        assert not rig.pump.acknowledge(0, 3)
        rig.check(0)
        assert rig.pump.acknowledge(0, 2)
        assert rig.pump.acknowledge(0, 1)  # told late: it was so once
        assert rig.pump.pipe_counters(0).acknowledged_total == 2


def test_reading_stops_at_what_is_retained_and_goes_on_with_the_acknowledgement() -> None:
    records = [padded(996) for _ in range(100)]
    with Retaining(1, high_water_bytes=20_000) as rig:
        rig.send_frames([Frame(TEXT, b"[" + record + b"]") for record in records])
        rig.read_all()
        assert rig.pump.counters().stopped
        assert rig.pump.pipe_counters(0).written_total == 20
        rig.acknowledge(0, 1)  # every byte of the bound is to be had, however little is acknowledged
        rig.run()
        assert rig.pump.pipe_counters(0).written_total == 21
        rig.acknowledge(0, 20)
        rig.send(b"")
        rig.read_all()
        assert rig.pump.pipe_counters(0).written_total == 40


def test_a_record_longer_than_the_bound_is_retained_alone() -> None:
    records = [padded(300_000), padded(100), padded(250_000)]
    with Retaining(1, high_water_bytes=1000) as rig:
        rig.send_frames([Frame(TEXT, b"[" + record + b"]") for record in records])
        for number in range(3):
            for _ in range(20):
                rig.read(0, 1 << 16)
                rig.send(b"")
            assert rig.pump.pipe_counters(0).unacknowledged_records == 1
            assert rig.readers[0][-1].records() == ([records[number]], b"")
            rig.die(0)
            for _ in range(20):
                rig.send(b"")
                rig.read(0, 1 << 16)
            rig.acknowledge(0, 1)
            rig.die(0)
        assert rig.redelivered == [3]
        rig.finish()
        rig.assert_nothing_lost([records])


def test_a_long_record_takes_what_room_there_is() -> None:
    records = [padded(100), padded(3 << 20), padded(1 << 20)]
    with Rig(retains=True, high_water_bytes=8 << 20, max_frame_bytes=4 << 20) as rig:
        for record in records:
            rig.send_frames([Frame(TEXT, b"[" + record + b"]")])
            for _ in range(100):
                rig.read_all()
                rig.send(b"")
        assert rig.pump.pipe_counters(0).unacknowledged_records == 3


def test_a_pile_that_moves_along_stays_in_its_outbox() -> None:
    """However far acknowledgements lag behind, within the bound: no outbox grows into the next one."""
    piles = (95, 40)
    with Rig(pipes=2, retains=True, pipe_size_bytes=1 << 18, high_water_bytes=10 << 20, max_frame_bytes=1 << 18) as rig:
        for number in range(400):
            record = b'{"number":%06d,"pad":"%s"}' % (number, b"x" * 100_000)
            rig.send_frames([Frame(TEXT, b"[" + record + b"," + record + b"]")])
            while any(rig.pump.pipe_counters(pipe).waiting_records for pipe in range(2)):
                rig.read_all()
                rig.run()
            for pipe, pile in enumerate(piles):
                assert rig.pump.acknowledge(pipe, max(number - pile, 0))
            if number % 23 == 0:
                assert_pile(rig, 1, max(number - piles[1], 0), number + 1)
        assert_pile(rig, 0, 400 - 1 - piles[0], 400)


def assert_pile(rig: Rig, pipe: int, begin: int, end: int) -> None:
    """These numbered records are unacknowledged, and come again byte for byte."""
    assert rig.redeliver(pipe) == end - begin
    rig.read_all()
    before_bytes = len(rig.received[pipe])
    while rig.pump.pipe_counters(pipe).waiting_records:
        rig.run()
        rig.read_all()
    numbers = re.findall(rb'{"number":([0-9]{6}),"pad":"x{100000}"}', rig.received[pipe][before_bytes:])
    assert list(map(int, numbers)) == list(range(begin, end))


def test_acknowledgements_between_marks_are_exact() -> None:
    """Places between records are marked every 64 KiB; acknowledged are others, and by more than there are marks."""
    records = [b'{"number":%06d,"pad":"%s"}' % (number, b"x" * (number % 700)) for number in range(30_000)]
    with Rig(retains=True, pipe_size_bytes=1 << 18, high_water_bytes=1 << 20, max_frame_bytes=1 << 18) as rig:
        acknowledged = 0
        for turn in range(300):
            rig.send_frames([Frame(TEXT, b"[" + b",".join(records[turn * 100 : turn * 100 + 100]) + b"]")])
            rig.read_all()
            written = rig.pump.pipe_counters(0).written_total
            acknowledged = max(acknowledged, written - 37 * (turn % 60))
            assert rig.pump.acknowledge(0, acknowledged)
            counters = rig.pump.pipe_counters(0)
            assert counters.unacknowledged_records == written - acknowledged
            assert counters.unacknowledged_bytes == sum(len(record) + 4 for record in records[acknowledged:written])
        assert (written, rig.redeliver(0)) == (30_000, written - acknowledged)


def test_more_than_all_marks_may_be_unacknowledged() -> None:
    record = padded(65_600)
    with Rig(retains=True, pipe_size_bytes=1 << 18, high_water_bytes=90 << 20, max_frame_bytes=1 << 18) as rig:
        for _ in range(1150):
            rig.send_frames([Frame(TEXT, b"[" + record + b"]")])
            rig.read_all()
        for acknowledged in (1, 500, 1149):
            assert rig.pump.acknowledge(0, acknowledged)
            assert rig.pump.pipe_counters(0).unacknowledged_bytes == (1150 - acknowledged) * (len(record) + 4)
        assert rig.redeliver(0) == 1


def test_a_drain_during_a_redelivery_is_told_when_all_is_written_again() -> None:
    records = [padded(996) for _ in range(60)]
    with Retaining(1, pipe_size_bytes=4096, high_water_bytes=1 << 16) as rig:
        rig.send_frames([Frame(TEXT, b"[" + b",".join(records) + b"]")])
        for _ in range(12):
            rig.read(0, 4096)
            rig.run()
        rig.begin_drain()
        rig.die(0)
        rig.run()
        assert not rig.told
        rig.drain()
        rig.assert_nothing_lost([records])
        assert len(rig.told) == 1


def test_a_redelivery_to_a_pipe_that_is_closed_waits() -> None:
    with Retaining(1) as rig:
        rig.send_frames([Frame(TEXT, b'[{"a":1},{"a":2}]')])
        rig.acknowledge(0, 0)
        rig.pump.close_pipe(0)
        rig.die(0)
        rig.run()
        counters = rig.pump.pipe_counters(0)
        assert (counters.written_total, counters.waiting_records, counters.redelivered_total) == (0, 2, 2)


def test_memory_of_a_pile_is_given_back() -> None:
    """The bound is for the worst moment; where little is unacknowledged, little memory is used over and over."""
    batch = [Frame(TEXT, b"[" + b",".join([padded(996)] * 200) + b"]")]
    with Rig(retains=True, pipe_size_bytes=1 << 18, high_water_bytes=64 << 20) as rig:
        before_bytes = resident_bytes(rig)

        def flow(batches: int, unacknowledged_records: int) -> None:
            for _ in range(batches):
                rig.send_frames(batch)
                rig.read_all()
                written = rig.pump.pipe_counters(0).written_total
                rig.pump.acknowledge(
                    0, max(written - unacknowledged_records, rig.pump.pipe_counters(0).acknowledged_total)
                )

        flow(50, unacknowledged_records=300)
        assert resident_bytes(rig) - before_bytes < 5 << 20
        flow(100, unacknowledged_records=100_000)
        assert resident_bytes(rig) - before_bytes > 20 << 20
        flow(50, unacknowledged_records=300)
        assert resident_bytes(rig) - before_bytes < 12 << 20
