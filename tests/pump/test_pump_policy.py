"""What happens to a record whose pipe is full: reading stops, or the record is dropped, and counted."""

from __future__ import annotations

import model
import pytest
from model import TEXT, Frame
from pumping import Rig

from lb.pump import Policy, Route, Vectors

TRADES = [b'{"ev":"T","sym":"S%d","i":%d,"pad":"%s"}' % (i % 7, i, b"x" * 60) for i in range(3000)]
FRAMES = [Frame(TEXT, b"[" + b",".join(TRADES[at : at + 40]) + b"]") for at in range(0, len(TRADES), 40)]
SENT = b"".join(map(model.wire, FRAMES))


@pytest.mark.parametrize("vectors", Vectors)
@pytest.mark.parametrize("high_water_bytes", [1, 1000, 1 << 14])
def test_a_pipe_that_may_lose_records_stops_nothing(high_water_bytes: int, vectors: Vectors) -> None:
    with Rig(pipes=2, pipe_size_bytes=4096, high_water_bytes=high_water_bytes, vectors=vectors) as rig:
        rig.pump.set_policy(1, Policy.DROP_NEWEST)
        for at in range(0, len(SENT), 5000):
            rig.send(SENT[at : at + 5000])
            while rig.read(0, 1 << 16) or rig.pump.counters().stopped:
                rig.run()
        kept, lossy = (rig.pump.pipe_counters(pipe) for pipe in range(2))
        assert (kept.records_total, kept.dropped_total) == (1500, 0)
        assert (lossy.records_total, lossy.stopped_ns_total) == (1500, 0)
        assert lossy.dropped_total == 1500 - lossy.written_total - lossy.waiting_records > 0
        rig.drain()
        assert bytes(rig.received[0]) == framed(TRADES[::2])
        got = lossy.written_total + lossy.waiting_records
        assert bytes(rig.received[1]) == framed(TRADES[1::2][:got])  # the newest are dropped


def test_whole_records_come_again_once_there_is_room() -> None:
    with Rig(pipe_size_bytes=4096, high_water_bytes=1, route=Route.SYMBOL) as rig:
        rig.pump.set_policy(0, Policy.DROP_NEWEST)
        rig.send(SENT)
        before = rig.pump.pipe_counters(0)
        while rig.pump.pipe_counters(0).waiting_records:
            rig.read_all()
            rig.run_once()
        rig.send_frames(FRAMES[:1])
        after = rig.pump.pipe_counters(0)
        assert after.dropped_total == before.dropped_total
        rig.drain()
        assert bytes(rig.received[0]).endswith(framed(TRADES[:40]))


def framed(records: list[bytes]) -> bytes:
    return b"".join(len(record).to_bytes(4, "little") + record for record in records)
