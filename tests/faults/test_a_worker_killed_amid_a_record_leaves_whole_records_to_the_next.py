"""kill -9 at any moment of a stream at full speed: the next worker begins with a whole record, and next to none is
lost."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest
from harness import Feed, Flood, Lb, inline, message
from harness.flood import numbers_of, record

KILLS = 12


@pytest.mark.parametrize(("pipes", "pipe_size_bytes"), [(1, 4096), (3, 4096), (1, 1 << 20), (4, 65536)])
def test_every_record_is_whole_and_in_order(pipes: int, pipe_size_bytes: int) -> None:
    """The reader takes 4 bytes, then the record, then tells: it may die with one of them in its hands, per pipe."""
    dice = random.Random(pipe_size_bytes + pipes)
    with (
        Feed() as feed,
        Lb(feed.url, pipes, "--pipe-size", str(pipe_size_bytes), constants={"lb.slots.supervisor.STABLE_S": 0.0}) as lb,
        feed.session() as peer,
        Flood(peer) as flood,
    ):
        for number in range(KILLS):
            pid = lb.await_recorders(number + 1)[-1]
            lb.await_records(lb.recording.total + dice.randrange(1, 2000))
            os.kill(pid, signal.SIGKILL)
            lb.await_line("worker ended", pid=pid)
        lb.await_recorders(KILLS + 1)
        lb.await_records(lb.recording.total + 1000)
        end = lb.stop()
        recording = lb.recording
    assert end.exit_code == 0
    assert end.balance["exact"]
    assert end.balance["waiting"] == 0
    assert end.balance["received"] <= flood.sent + 100
    assert recording.cut_off_pipes == 0
    lost = 0
    for pipe in range(pipes):
        numbers = numbers_of(recording.pipes[pipe])
        assert numbers == sorted(set(numbers)), "none twice, all in order"
        assert all(number % pipes == pipe for number in numbers), "round-robin is not disturbed"
        lost += len(range(pipe, end.balance["received"], pipes)) - len(numbers)
    assert 0 <= lost <= 2 * KILLS * pipes


TAKES_A_BITE = """
    import os, signal, sys
    os.read(int(sys.argv[1]), {bite_bytes})
    print("bitten", flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("bite_bytes", [1, 3, 4, 5, 50, len(record(0)) + 3, len(record(0)) + 4, len(record(0)) + 5])
def test_the_rest_of_a_half_read_record_is_dropped_and_told(bite_bytes: int) -> None:
    """At every place inside a frame: in its length, behind it, in the record, at its end, in the next length."""
    size = 4 + len(record(0))
    part = bite_bytes % size
    with (
        Feed() as feed,
        Lb(feed.url, 2, worker=inline(TAKES_A_BITE.format(bite_bytes=bite_bytes))) as lb,
        feed.session() as peer,
    ):
        peer.say(message([record(0), b"{}", record(0), b"{}", record(0)]))
        lb.await_output(b"bitten\n")
        os.kill(lb.await_line("worker started")["pid"], signal.SIGKILL)
        lb.await_line("worker ended")
        lb.await_output(b"bitten\nbitten\n")
        dropped = [line for line in lb.lines if line["message"] == "rest of a half-read record dropped"]
        if part:
            assert [(line["pipe"], line["bytes"]) for line in dropped] == [(0, size - part)]
        else:
            assert dropped == []


ONE_BITE_THEN_ALL = """
    import os, signal, sys
    from pathlib import Path
    seen, fd = Path(sys.argv[1]), int(sys.argv[2])
    if not seen.exists():
        seen.touch()
        os.read(fd, {bite_bytes})
        print("bitten", flush=True)
        signal.pause()
    data = b""
    while more := os.read(fd, 65536):
        data += more
    sys.stdout.buffer.write(data)
"""


@pytest.mark.parametrize("bite_bytes", [2, 2000, 4096])
def test_a_record_larger_than_its_pipe_is_sent_again_whole(tmp_path: Path, bite_bytes: int) -> None:
    """What the dead worker left of it, and what still waited, would be two halves."""
    large = b'{"ev":"T","pad":"' + b"x" * 100_000 + b'"}'
    worker = [*inline(ONE_BITE_THEN_ALL.format(bite_bytes=bite_bytes)), "seen"]
    with (
        Feed() as feed,
        Lb(feed.url, 1, "--pipe-size", "4096", worker=worker, directory=tmp_path) as lb,
        feed.session() as peer,
    ):
        peer.say(message([large, record(1)]))
        lb.await_output(b"bitten\n")
        os.kill(lb.await_line("worker started")["pid"], signal.SIGKILL)
        lb.await_line("worker ended")
        lb.await_line("worker started")
        end = lb.stop()
        assert (end.exit_code, end.balance["exact"], end.balance["waiting"]) == (0, True, 0)
        framed = [len(text).to_bytes(4, "little") + text for text in (large, record(1))]
        assert lb.output.removeprefix(b"bitten\n") == b"".join(framed)
