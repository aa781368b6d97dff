"""A process that has the pump is killed, at each begin and end of a system call and between any two instructions:
whoever adopts its mapping delivers every record, once, in order."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import model
import pytest
from model import CONTINUATION, PING, TEXT, Frame
from pumping import Rig, assert_delivered, modelled
from tracing import killed

from lb.pump import Policy, Route, Spill

TRADES = [b'{"ev":"T","sym":"S%d","i":%d,"pad":"%s"}' % (i % 7, i, b"x" * (i % 90)) for i in range(400)]


def whole(trades: list[bytes], each: int = 20) -> list[Frame]:
    return [Frame(TEXT, b"[" + b",".join(trades[at : at + each]) + b"]") for at in range(0, len(trades), each)]


def fragments(trades: list[bytes]) -> list[Frame]:
    """Of one message, each begins and ends amid a record, and a ping is between two."""
    text = b"[" + b",".join(trades) + b"]"
    cuts = [0, 150, 151, 700, 2000, len(text)]
    parts = [text[begin:end] for begin, end in pairwise(cuts)]
    frames = [Frame(TEXT if at == 0 else CONTINUATION, part, fin=part is parts[-1]) for at, part in enumerate(parts)]
    return [*frames[:3], Frame(PING, b"?"), *frames[3:]]


def spilled(folder: Path) -> Rig:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    rig = Rig(
        pipes=2, pipe_size_bytes=4096, high_water_bytes=3000, policy=Policy.SPILL, spill=Spill(fd, 1 << 24, 1 << 14)
    )
    rig._stack.callback(os.close, fd)
    return rig


KINDS: dict[str, Callable[[Path], Rig]] = {
    "roomy": lambda _: Rig(pipes=2),
    "full": lambda _: Rig(pipes=2, pipe_size_bytes=4096, high_water_bytes=3000),
    "by symbol": lambda _: Rig(pipes=3, route=Route.SYMBOL, pipe_size_bytes=4096),
    "spilled": spilled,
}


def begin(rig: Rig, frames: list[Frame]) -> None:
    """All of it is in the socket, and the first part of it was dealt, up to the middle of a record."""
    sent = b"".join(map(model.wire, frames))
    rig.send(sent[:1000])
    assert rig.feed.send(sent[1000:]) == len(sent) - 1000


def run_on(rig: Rig) -> Callable[[], object]:
    """Deals what is in the socket, as far as the pipes have room."""

    def run() -> None:
        for _ in range(4):
            rig.pump.run(0)

    return run


def assert_all_there(rig: Rig, frames: list[Frame], route: Route = Route.ROUND_ROBIN) -> None:
    expected = modelled(len(rig.read_fds), route)
    expected.session(frames)
    rig.adopt()
    rig.finish_spilled()
    assert_delivered(rig, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_at_each_begin_and_end_of_a_system_call(tmp_path: Path, kind: str) -> None:
    frames = whole(TRADES[:200])
    route = Route.SYMBOL if kind == "by symbol" else Route.ROUND_ROBIN
    is_over = False
    stops = 0
    while not is_over:
        folder = tmp_path / str(stops)
        folder.mkdir()
        with KINDS[kind](folder) as rig:
            begin(rig, frames)
            stops += 1
            is_over = not killed(run_on(rig), stops)
            assert_all_there(rig, frames, route)
    assert stops > 8


READ = 4
"""The read is the second system call of a run: so many begins and ends have been where it has ended."""
STEPS, STRIDE = 6500, int(os.environ.get("LB_TEST_STRIDE", "811"))
"""Instructions; a step takes some 30 us. All of them: LB_TEST_STRIDE=1, some hours."""


@pytest.mark.parametrize("frames", [whole(TRADES[:45]), fragments(TRADES[:45])], ids=["whole", "in fragments"])
def test_between_instructions(frames: list[Frame]) -> None:
    """From the end of the read on: what it has brought is nowhere but in the pump's memory."""
    for steps in range(0, STEPS, STRIDE):
        with Rig(pipes=2, pipe_size_bytes=4096, high_water_bytes=500) as rig:
            begin(rig, frames)
            assert killed(run_on(rig), READ, steps)
            assert_all_there(rig, frames)
