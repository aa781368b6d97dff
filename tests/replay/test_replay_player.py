"""What is sent next, and when: told a time, not waiting for one."""

import math
import re
import time

import pytest
from feed_client import message, record, unhurried
from hypothesis import given
from hypothesis import strategies as st
from test_replay_frames import texts

from lb.replay.player import SPAN_BYTES, Halt, Pause, Playback, Player, Playhead, Span
from lb.replay.reel import Reel
from lb.replay.synthetic import synthetic_market
from lb.replay.tape import Tape, records_of
from lb.replay.topics import Topic, Topics

ALL_TRADES = Topics([Topic("T", "*")])
NO_TOPICS = Topics()
START_NS = 5_000_000_000
BASE_MS = 1_781_622_376_000


def player_of(tape: Tape, playback: Playback, head: Playhead | None = None, topics: Topics = ALL_TRADES) -> Player:
    def reel_of(wanted: Topics) -> Reel:
        return Reel.of_tape(tape, wanted, playback.fragment_bytes, playback.stamp)

    player = Player(tape, playback, reel_of, head or Playhead())
    player.tune(topics, START_NS)
    return player


def played(player: Player, now_ns: int = START_NS) -> tuple[list[bytes], Pause | Halt]:
    """All records that are due, and what comes then."""
    records: list[bytes] = []
    while isinstance(step := player.advance(now_ns), Span):
        assert step.whole_within(len(step.view)) == (len(texts(bytes(step.view))), len(records_in(step)))
        records += records_in(step)
    return records, step


def records_in(span: Span) -> list[bytes]:
    return [text for one in texts(bytes(span.view)) for text, _ in records_of(one)]


def numbered(*sizes: int, apart_ms: int = 10) -> Tape:
    """Messages of so many records, numbered through, one every so many milliseconds."""
    numbers = iter(range(sum(sizes)))
    return Tape.of(
        message(*(record(next(numbers), time_ms=BASE_MS + apart_ms * at) for _ in range(size)))
        for at, size in enumerate(sizes)
    )


def all_records(tape: Tape) -> list[bytes]:
    return [text for one in tape.messages for text, _ in records_of(one)]


@unhurried
@given(
    st.integers(1, 6),
    st.integers(0, 100),
    st.integers(0, 2000),
    st.booleans(),
    st.none() | st.integers(1, 20),
    st.sampled_from([0.5, 1.0, 3.0]),
)
def test_when_so_many_more_bytes_are_due_is_when_they_would_be_handed_out(
    messages: int, started_ms: int, size_bytes: int, loop: bool, limit: int | None, speed: float
) -> None:
    """The model: another player that goes on, one millisecond after the other."""
    playback = Playback(speed=speed, loop=loop, record_limit=limit)
    tape = numbered(*[1] * messages)
    player, model = player_of(tape, playback), player_of(tape, playback)
    for at_ms in range(started_ms + 1):
        for one in (player, model):
            played(one, START_NS + at_ms * 1_000_000)
    foretold_ns = player.due_ns(size_bytes)
    more_bytes = 0
    for at_ms in range(started_ms, 10_000):
        while isinstance(step := model.advance(START_NS + at_ms * 1_000_000), Span):
            more_bytes += len(step.view)
        if more_bytes > size_bytes:
            assert START_NS + (at_ms - 1) * 1_000_000 < foretold_ns <= START_NS + at_ms * 1_000_000
            return
        if step is Halt.END:
            break
    assert foretold_ns == math.inf


@pytest.mark.parametrize("speed", [None, 1.0])
def test_where_no_time_is_set_no_bytes_are_late(speed: float | None) -> None:
    player = player_of(numbered(1, 1), Playback(speed=speed), topics=NO_TOPICS if speed else ALL_TRADES)
    player.advance(START_NS)
    assert player.due_ns(0) == math.inf


@unhurried
@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.data())
def test_a_span_is_cut_behind_the_message_of_a_byte(sizes: list[int], data: st.DataObject) -> None:
    player = player_of(numbered(*sizes), Playback())
    span = player.advance(START_NS)
    assert isinstance(span, Span)
    position = data.draw(st.integers(1, len(span.view) + 20))
    cut = span.cut_behind(position)
    whole = texts(bytes(cut.view))
    assert bytes(span.view).startswith(bytes(cut.view))
    assert cut.whole_within(len(cut.view)) == (len(whole), sum(sizes[: len(whole)]))
    assert len(cut.view) >= min(position, len(span.view))
    assert cut.reel.start_of(cut.last - 1) < position, "no message more than that"


def test_at_full_speed_everything_is_due_in_spans_of_bounded_size() -> None:
    tape = synthetic_market(records=20_000)
    player = player_of(tape, Playback())
    sizes: list[int] = []
    records: list[bytes] = []
    while isinstance(step := player.advance(START_NS), Span):
        sizes.append(len(step.view))
        records += records_in(step)
    assert step is Halt.END
    assert records == all_records(tape)
    assert len(sizes) == 4
    assert max(sizes) <= SPAN_BYTES


def test_a_message_larger_than_a_span_is_sent_whole() -> None:
    tape = Tape.of([b'[{"ev":"T","x":"%s"}]' % (b"y" * (SPAN_BYTES + 1))] * 2)
    span = player_of(tape, Playback()).advance(START_NS)
    assert isinstance(span, Span)
    assert (span.first, span.last) == (0, 1)


@pytest.mark.parametrize(("speed", "apart_ns"), [(1.0, 10_000_000), (2.0, 5_000_000), (0.1, 100_000_000)])
def test_messages_are_due_as_their_times_say(speed: float, apart_ns: int) -> None:
    tape = numbered(2, 1, 1)
    player = player_of(tape, Playback(speed=speed))
    records = all_records(tape)
    assert played(player, START_NS) == (records[:2], Pause(START_NS + apart_ns + 1))
    assert played(player, START_NS + apart_ns - 1) == ([], Pause(START_NS + apart_ns + 1))
    assert played(player, START_NS + apart_ns + 1) == (records[2:3], Pause(START_NS + 2 * apart_ns + 1))
    assert played(player, START_NS + 9 * apart_ns) == (records[3:], Halt.END)


def test_what_became_due_in_the_meantime_is_sent_at_once() -> None:
    tape = numbered(1, 1, 1, 1)
    player = player_of(tape, Playback(speed=1.0))
    played(player, START_NS)
    span = player.advance(START_NS + 25_000_000)
    assert isinstance(span, Span)
    assert records_in(span) == all_records(tape)[1:3]


def test_a_loop_goes_on_in_time() -> None:
    tape = numbered(1, 1)
    player = player_of(tape, Playback(speed=1.0, loop=True))
    records = all_records(tape)
    pass_ns = tape.duration_ns
    assert played(player, START_NS)[0] == records[:1]
    assert played(player, START_NS + 10_000_001) == (records[1:], Pause(START_NS + pass_ns + 1))
    assert played(player, START_NS + pass_ns * 3 - 1)[0] == records * 2


@unhurried
@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(1, 40), st.booleans())
def test_count_is_exact(sizes: list[int], limit: int, loop: bool) -> None:
    tape = numbered(*sizes)
    records = all_records(tape) * (40 if loop else 1)
    assert played(player_of(tape, Playback(record_limit=limit, loop=loop))) == (records[:limit], Halt.END)


def test_count_is_exact_within_a_filtered_message() -> None:
    tape = Tape.of([message(record(1, event="Q"), record(2), record(3), record(4))])
    assert played(player_of(tape, Playback(record_limit=2))) == ([record(2), record(3)], Halt.END)


def test_duration_ends_it_between_messages() -> None:
    player = player_of(numbered(1, 1), Playback(speed=0.001, duration_s=2.0))
    assert played(player, START_NS)[1] == Pause(START_NS + 2_000_000_000)
    assert played(player, START_NS + 2_000_000_000) == ([], Halt.END)


@unhurried
@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.integers(1, 8), st.none() | st.integers(1, 3))
def test_drops_lose_and_repeat_nothing(sizes: list[int], every: int, drops: int | None) -> None:
    tape = numbered(*sizes)
    playback = Playback(drop_every_records=every, drops=drops)
    records: list[bytes] = []
    made = 0
    head = Playhead()
    while True:
        got, halt = played(player_of(tape, playback, head))
        records += got
        if halt is Halt.END:
            break
        made += 1
        assert halt is Halt.DROP
        assert every <= len(got) < every + max(sizes)
    assert records == all_records(tape)
    assert drops is None or made <= drops


def test_a_new_subscription_goes_on_where_the_tape_is() -> None:
    tape = numbered(1, 1, 1)
    player = player_of(tape, Playback(speed=1.0))
    records = all_records(tape)
    assert played(player, START_NS)[0] == records[:1]
    player.tune(Topics([Topic("T", "MSFT")]), START_NS + 1)
    assert played(player, START_NS + 2) == ([], Pause(None))
    # Nothing is selected for a second, for which the tape stands still.
    player.tune(ALL_TRADES, START_NS + 1_000_000_001)
    assert played(player, START_NS + 1_000_000_002)[0] == []
    assert played(player, START_NS + 1_010_000_001)[0] == records[1:2]


def test_nothing_selected_is_no_end() -> None:
    assert played(player_of(numbered(1), Playback(), topics=NO_TOPICS)) == ([], Pause(None))


@pytest.mark.parametrize("limit", [None, 3])
def test_stamps_are_the_time_of_sending(limit: int | None) -> None:
    tape = numbered(2, 2)
    player = player_of(tape, Playback(stamp=True, record_limit=limit))
    before_ms = time.time_ns() // 1_000_000
    records, _ = played(player)
    after_ms = time.time_ns() // 1_000_000
    assert len(records) == limit or 4
    times_ms = [int(re.search(rb'"t":(\d+)', text)[1]) for text in records]  # type: ignore[index]
    assert all(before_ms <= time_ms <= after_ms for time_ms in times_ms)
    unstamped = [re.sub(rb'"t":\d+', b"", text) for text in records]
    assert unstamped == [re.sub(rb'"t":\d+', b"", text) for text in all_records(tape)][: len(records)]


def test_stamping_leaves_the_reel_of_others_alone() -> None:
    tape = numbered(1)
    reel = Reel.of_tape(tape, ALL_TRADES, with_times=True)
    for stamp, expected in ((True, False), (False, True)):
        player = Player(tape, Playback(stamp=stamp), lambda _: reel, Playhead())
        player.tune(ALL_TRADES, START_NS)
        assert (played(player)[0] == all_records(tape)) is expected
