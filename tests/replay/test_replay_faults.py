"""`lb-replay --fault`, and what lb makes of it: each once, at its record, and the next session goes on from there."""

from __future__ import annotations

from pathlib import Path

import pytest
from feed_client import session, wait_for
from harness import SOON, Lb, replay

from lb.replay.faults import Fault, Faults
from lb.replay.player import Playback
from lb.replay.server import ReplayServer
from lb.replay.tape import Tape

pytestmark = pytest.mark.slow

RECORDS = [b'{"ev":"T","sym":"A","i":%d,"t":1781622376036}' % number for number in range(400)]
PATIENCE = SOON | {
    "lb.feed.venues.polygon.MAX_CONNECTIONS_LEAST_DELAY_S": 0.01,
    "lb.feed.keeper.ENDING_S": 0.1,
    "lb.feed.venues.polygon.VENUE.health.ping_after_s": 0.2,
    "lb.feed.venues.polygon.VENUE.health.lost_after_s": 0.8,
}


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    path = tmp_path / "tape.jsonl"
    messages = [RECORDS[begin : begin + 4] for begin in range(0, len(RECORDS), 4)]
    path.write_bytes(b"".join(b"[" + b",".join(records) + b"]\n" for records in messages))
    return path


ENDS = [
    ("drop", "connection closed without a close frame"),
    ("reset", "Connection reset by peer"),
    ("stall", "no byte from the feed for 0."),
    ("close=1012", "1012"),
    ("close=4321", "4321"),
    (
        "max_connections",
        "the feed ends the session: max_connections: Maximum number",
    ),
]


@pytest.mark.parametrize(("fault", "reason"), ENDS)
def test_a_session_that_ends_so_is_told_and_the_next_one_goes_on(fault: str, reason: str, tape: Path) -> None:
    with (
        replay("--speed", "max", "--end", "stay", "--fault", f"200:{fault}", str(tape)) as server,
        Lb(server.url, 1, constants=PATIENCE) as lb,
    ):
        line = lb.await_line("session lost")
        assert reason in line["reason"], line
        least = 200 if fault == "reset" else 400
        recording = lb.await_records(least)
        if fault != "reset":
            assert recording.pipes == {0: RECORDS}
        else:
            lb.await_line("session open")
            while recording.pipes[0][-1] != RECORDS[-1]:
                pass
            assert recording.pipes[0][-200:] == RECORDS[200:]  # what had been sent before may not have arrived
        assert lb.stop().exit_code == 0


def test_a_key_that_is_refused_ends_lb_with_77(tape: Path) -> None:
    with (
        replay("--speed", "max", "--fault", "0:auth_failed", str(tape)) as server,
        Lb(server.url, 1, constants=PATIENCE) as lb,
    ):
        lb.await_line("the feed refuses the key: auth_failed: authentication failed")
        assert lb.wait().exit_code == 77


def test_a_key_that_is_refused_amid_the_day(tape: Path) -> None:
    with (
        replay("--speed", "max", "--end", "stay", "--fault", "100:auth_failed=1", str(tape)) as server,
        Lb(server.url, 1, constants=PATIENCE) as lb,
    ):
        lb.await_line("session lost")
        assert lb.wait().exit_code == 77
        assert lb.recording.pipes == {0: RECORDS[:100]}


def test_a_slow_feed_and_a_short_stall_cost_nothing(tape: Path) -> None:
    """Bytes come in twos, also over TLS, in the midst of headers; the stall is shorter than lb's patience."""
    faults = ("--fault", "8:stall=0.3", "--fault", "300:slow=100000", "--fault", "0.1s:slow=40000")
    with (
        replay("--speed", "max", "--end", "stay", "--self-signed", *faults, str(tape)) as server,
        Lb(server.url, 1, *server.trust, constants=PATIENCE) as lb,
    ):
        assert lb.await_records(400).pipes == {0: RECORDS}
        assert lb.stop().statistics["reconnects"] == 0


def test_who_leaves_a_feed_that_has_become_slow_goes_on_and_after_the_end_it_begins_again(tape: Path) -> None:
    messages = [b"[" + b",".join(RECORDS[begin : begin + 4]) + b"]" for begin in range(0, len(RECORDS), 4)]
    with ReplayServer(Tape.of(messages), Playback(faults=[Fault.parse("200:slow=1")])) as server:
        with session(server.url) as client:
            client.subscribe()
            assert [client.hear() for _ in range(50)] == messages[:50]
            wait_for(lambda: server.totals.faults_total == 1)  # else it waits for the next session
        with session(server.url) as client:  # what the first was owed has been passed: a span may hold all of it
            client.subscribe()
            client.hear_all()
        with session(server.url) as client:
            client.subscribe()
            assert client.hear_all() == messages


def test_each_happens_once_at_its_time_or_record() -> None:
    faults = Faults(map(Fault.parse, ("5:drop", "2s:reset", "7:close=1000", "0:auth_failed=2")))
    assert [faults.take_refusal() for _ in range(3)] == [True, True, False]
    assert (faults.records_left(1), faults.next_s()) == (4, 2)
    assert faults.take(4, 1.9) is None
    assert faults.take(5, 2.0) == Fault.parse("5:drop")
    assert faults.take(5, 2.0) == Fault.parse("2s:reset")
    assert faults.take(6, 9.0) is None
    assert faults.take(9, 9.0) == Fault.parse("7:close=1000")
    assert faults.take(10**9, 1e9) is None
