"""Acknowledgements that the pump takes from a reader's channel by itself: those that are true, up to the first that is
not one; all else is left to Python, in its order.

The model is Python's own parser of the same packets.
"""

from __future__ import annotations

import socket

from hypothesis import given
from hypothesis import strategies as st
from model import TEXT, Frame
from pumping import Rig

from lb.slots.channel import Acknowledged, parse

READER_FD = 7
WRITTEN = 20

numbers = st.integers(0, WRITTEN) | st.sampled_from([1000, 10**17, 10**18 - 1, 10**18, 2**63 - 1, 2**64 - 1, 2**64 + 3])
acknowledgements = st.builds(
    b"ACK %d %d".__mod__, st.tuples(st.sampled_from([READER_FD] * 5 + [8, 2**32 + 7]), numbers)
)
true_ones = st.builds(b"ACK 7 %d".__mod__, st.integers(0, WRITTEN))
odd_ones = st.sampled_from(
    [
        b"READY", b"STATUS ACK 7 1", b"ACK", b"ACK 7", b"ACK 7 ", b"ACK  7 1", b"ACK 7  1", b"ACK 7 1 ", b" ACK 7 1",
        b"ACK 7 1\n", b"ACK 7 1\0", b"ACK 7\x001", b"ACK -7 1", b"ACK 7 -1", b"ACK 7 +1", b"ACK 7 1.0", b"ack 7 1",
        b"ACK 007 01", b"ACK 0000000007 1", b"ACK 000000007 000000000000000001", b"ACK 7 0000000000000000001",
        b"ACK 7 1" + b"0" * 100, b"\0" * 64, b"ACK 7 1" + b" " * 57, b"ACK 7 1" + b"\0" * 2000,
    ]
)  # fmt: skip


class Listening(Rig):
    """Whose first `WRITTEN` records were written, and the reader of whose pipe has a channel."""

    def __init__(self) -> None:
        super().__init__(retains=True, pipe_size_bytes=1 << 18, high_water_bytes=1 << 20)
        ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ours = self._stack.enter_context(ours)
        self._stack.enter_context(self.theirs)
        ours.setblocking(False)
        self.send_frames([Frame(TEXT, b"[" + b",".join([b'{"a":1}'] * WRITTEN) + b"]")])
        self.read_all()

    def need_room(self) -> None:
        """More than an outbox takes without a look at what was acknowledged."""
        record = b'{"a":"' + b"x" * 100_000 + b'"}'
        for _ in range(4):
            self.send_frames([Frame(TEXT, b"[" + record + b"]")])
            self.read_all()

    def left(self) -> list[bytes]:
        packets = []
        while True:
            try:
                packets.append(self.ours.recv(4096))
            except BlockingIOError:
                return packets

    def acknowledged(self) -> int:
        return self.pump.pipe_counters(0).acknowledged_total


@given(st.lists(true_ones | acknowledgements | odd_ones, max_size=6))
def test_what_is_taken_is_what_python_would_take(packets: list[bytes]) -> None:
    taken, acknowledged = 0, 0
    for packet in packets:
        match parse(packet):
            case Acknowledged(fd, records) if fd == READER_FD and records <= WRITTEN:
                taken, acknowledged = taken + 1, max(acknowledged, records)
            case _:
                break
    with Listening() as rig:
        rig.pump.listen(0, rig.ours.fileno(), READER_FD)
        for packet in packets:
            rig.theirs.send(packet)
        rig.need_room()
        assert rig.left() == packets[taken:]
        assert rig.acknowledged() == acknowledged


def test_a_successor_counts_from_its_own_begin() -> None:
    with Listening() as rig:
        rig.pump.listen(0, rig.ours.fileno(), READER_FD)
        rig.theirs.send(b"ACK 7 5")
        rig.need_room()
        assert rig.acknowledged() == 5
        rig.redeliver(0)
        rig.pump.listen(0, rig.ours.fileno(), READER_FD)
        rig.run()
        rig.theirs.send(b"ACK 7 3")
        rig.need_room()
        assert rig.acknowledged() == 8


def test_where_nobody_listens_or_speaks_any_more_nothing_is_taken() -> None:
    with Listening() as rig:
        rig.theirs.send(b"ACK 7 5")
        rig.need_room()
        assert rig.left() == [b"ACK 7 5"]
        rig.pump.listen(0, rig.ours.fileno(), READER_FD)
        rig.theirs.close()
        rig.need_room()
        rig.pump.listen(0, -1, -1)
        assert rig.acknowledged() == 0
