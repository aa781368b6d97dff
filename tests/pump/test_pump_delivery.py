"""For all feed bytes, all ways of cutting them into reads, all pipe capacities and all speeds of the readers: what each
pipe gets is what the model says, in order, byte for byte."""

from __future__ import annotations

from itertools import cycle

import model
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from model import TEXT, Frame
from pumping import Rig, assert_delivered, modelled

from lb.pump import Layout, Route, Source, Vectors

routes = st.sampled_from(Route)
sources = st.sampled_from([Source.SOCKET, Source.CALLER])
pipe_sizes = st.sampled_from([4096, 4096, 8192, 1 << 16, 1 << 20])
high_waters = st.sampled_from([1, 100, 1000, 1 << 14, 1 << 20])
appetites = st.lists(st.sampled_from([0, 0, 1, 5, 100, 1000, 4096, 1 << 20]), min_size=1, max_size=6)
"""How many bytes the readers take, step by step."""


@given(
    source=sources,
    layout=st.sampled_from(Layout),
    vectors=st.sampled_from(Vectors),
    pipes=st.integers(1, 5),
    pipe_size_bytes=pipe_sizes,
    high_water_bytes=high_waters,
    sizes=strategies.read_sizes(),
    bites=appetites,
    data=st.data(),
)
def test_any_reads_any_pipes_any_readers(
    source: Source,
    layout: Layout,
    vectors: Vectors,
    pipes: int,
    pipe_size_bytes: int,
    high_water_bytes: int,
    sizes: list[int],
    bites: list[int],
    data: st.DataObject,
) -> None:
    route = data.draw(routes)
    messages = strategies.messages()
    if layout is Layout.BINANCE:
        messages |= strategies.stream_messages
    if layout is Layout.BITSTAMP:
        messages |= strategies.channel_messages
    if layout in (Layout.COINBASE, Layout.KRAKEN):
        messages |= strategies.nested_messages
    if route not in (Route.SYMBOL, Route.KEY):  # the key of an object that is not JSON is not defined
        messages |= strategies.broken_arrays()
    frames = data.draw(strategies.sessions(messages)) * data.draw(st.sampled_from([1, 1, 2, 10]))
    sent = b"".join(map(model.wire, frames))
    if data.draw(st.booleans(), label="the session is cut"):
        sent = sent[: data.draw(st.integers(0, len(sent)))]
    expected = modelled(pipes, route, layout=layout)
    cut_off = expected.session(model.frames_until(frames, len(sent)))
    with Rig(
        pipes=pipes,
        route=route,
        source=source,
        layout=layout,
        pipe_size_bytes=pipe_size_bytes,
        high_water_bytes=high_water_bytes,
        vectors=vectors,
    ) as rig:
        readers = cycle(range(pipes))
        for piece, bite in zip(strategies.cut_into(sent, sizes), cycle(bites), strict=False):
            rig.send(piece)
            if bite:
                rig.read(next(readers), bite)
        rig.finish()
        assert_delivered(rig, expected)
        counters = rig.pump.counters()
        assert counters.cut_off_bytes_total == len(cut_off)
        assert counters.received_bytes_total == len(sent)


@given(frames=strategies.sessions(strategies.broken_arrays()), sizes=strategies.read_sizes(), pipes=st.integers(2, 5))
def test_objects_that_are_not_json_have_the_same_pipe_however_they_are_cut(
    frames: list[Frame], sizes: list[int], pipes: int
) -> None:
    def streams(pieces: list[bytes]) -> list[bytes]:
        with Rig(pipes=pipes, route=Route.SYMBOL) as rig:
            for piece in pieces:
                rig.send(piece)
            rig.drain()
            return [bytes(received) for received in rig.received]

    sent = b"".join(map(model.wire, frames))
    assert streams(strategies.cut_into(sent, sizes)) == streams([sent])


@given(
    sessions=st.lists(strategies.sessions(strategies.arrays(strategies.trades())), min_size=2, max_size=4),
    route=routes,
    source=sources,
    data=st.data(),
)
def test_round_robin_goes_on_over_sessions_and_a_session_begins_anew(
    sessions: list[list[Frame]], route: Route, source: Source, data: st.DataObject
) -> None:
    """A session may end anywhere; nothing of it leaks into the next."""
    expected = modelled(3, route)
    cut_off_bytes = 0
    with Rig(pipes=3, route=route, source=source) as rig:
        for number, frames in enumerate(sessions):
            if number:
                rig.attach()
            sent = b"".join(map(model.wire, frames))
            sent = sent[: data.draw(st.integers(0, len(sent)))]
            cut_off_bytes += len(expected.session(model.frames_until(frames, len(sent))))
            rig.send(sent)
            rig.close_feed()
            rig.run()
            assert rig.has_ended
        rig.drain()
        assert_delivered(rig, expected)
        assert rig.pump.counters().cut_off_bytes_total == cut_off_bytes


@pytest.mark.parametrize("route", Route)
@pytest.mark.parametrize("source", [Source.SOCKET, Source.CALLER])
@pytest.mark.parametrize("vectors", Vectors)
def test_a_burst_of_many_reads(route: Route, source: Source, vectors: Vectors) -> None:
    """More than any buffer holds: the input wraps, outboxes are compacted, pipes fill again and again."""
    expected = modelled(4, route)
    frames = [Frame(TEXT, _batch(number)) for number in range(900)]
    expected.session(frames)
    with Rig(
        pipes=4, route=route, source=source, vectors=vectors, pipe_size_bytes=8192, high_water_bytes=10_000
    ) as rig:
        rig.send(b"".join(map(model.wire, frames)))
        bites = cycle([1, 70_000, 3, 5000, 40_001])
        while rig.pump.counters().records_total < sum(map(len, expected.pipes)):
            for pipe in range(4):
                rig.read(pipe, next(bites))
            rig.send(b"")
        assert rig.pump.counters().full_total > 5
        rig.drain()
        assert_delivered(rig, expected)


def _batch(number: int) -> bytes:
    """A message of 1 to 60 trades of changing lengths."""
    trades = (
        f'{{"ev":"T","sym":"S{(number * 7 + index) % 500}","i":"{10 ** (index % 14)}","p":{index}.25,"s":{number}}}'
        for index in range(number % 60 + 1)
    )
    return f"[{','.join(trades)}]".encode()
