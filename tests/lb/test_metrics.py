"""The values of the lines `statistics` and `balance`."""

from __future__ import annotations

from dataclasses import replace

from lb.metrics import Snapshot
from lb.pump import Counters, PipeCounters, Unread


def snapshot(records: int, written: list[int], waiting: list[int], *, at_s: float = 0.0, sessions: int = 1) -> Snapshot:
    counters = dict.fromkeys(Counters.__slots__, 0) | {
        "records_total": records,
        "received_bytes_total": 1000,
        "reads_total": 7,
        "frames_total": 8,
        "malformed_total": 2,
        "skipped_elements_total": 4,
        "skipped_bytes_total": 50,
    }
    pipes = [
        PipeCounters(
            **dict.fromkeys(PipeCounters.__slots__, 0)
            | {"records_total": done + left, "written_total": done, "waiting_records": left}
        )
        for done, left in zip(written, waiting, strict=True)
    ]
    return Snapshot(int(at_s * 1e9), Counters(**counters), pipes, list(range(len(pipes))), sessions, 3, "none", 1, 4)


START = snapshot(0, [0, 0], [0, 0], at_s=-1.0)


def test_the_balance_is_exact_when_received_is_written_and_waiting() -> None:
    line = snapshot(10, [4, 3], [2, 1]).balance()
    assert line == {
        "received": 10, "recovered": 0, "written": 7, "waiting": 3, "spilled": 0, "dropped": 0, "exact": True,
        "per_pipe": [4, 3], "waiting_per_pipe": [2, 1],
    }  # fmt: skip


def test_a_record_too_few_or_too_many_is_not_exact() -> None:
    assert snapshot(11, [4, 3], [2, 1]).balance()["exact"] is False
    assert snapshot(9, [4, 3], [2, 1]).balance()["exact"] is False


def test_two_pipes_that_are_wrong_by_the_same_are_not_exact() -> None:
    line = snapshot(10, [4, 3], [2, 1])
    one, other = line.pipes
    line.pipes[:] = [replace(one, written_total=5), replace(other, written_total=2)]
    assert line.balance()["exact"] is False


def test_what_waits_is_exact_only_where_it_was_counted_so() -> None:
    line = snapshot(10, [4, 3], [2, 1])
    assert replace(line, counted=[2, 1]).balance()["exact"] is True
    assert replace(line, counted=[1, 2]).balance()["exact"] is False


def test_many_pipes_are_summed_up() -> None:
    line = snapshot(17 * 18 // 2, list(range(1, 18)), [0] * 17).balance()
    assert "per_pipe" not in line
    assert (line["per_pipe_least"], line["per_pipe_most"], line["per_pipe_sum"]) == (1, 17, 153)


def test_the_rate_is_over_the_time_since_the_line_before() -> None:
    before = snapshot(1000, [1000], [0], at_s=10.0)
    assert snapshot(1500, [1500], [0], at_s=12.5).statistics(before)["records_per_s"] == 200


def test_a_line_of_statistics_has_all_that_is_counted() -> None:
    line = snapshot(10, [10, 0], [0, 0], sessions=3).statistics(START)
    expected = {
        "records": 10, "bytes": 1000, "reads": 7, "frames": 8, "malformed": 2,
        "skipped_elements": 4, "skipped_bytes": 50,
        "backlog_bytes": [0, 1], "reconnects": 2, "restarts": 3, "tls": "none",
        "stuck": 1, "stuck_total": 4,
    }  # fmt: skip
    assert expected.items() <= line.items()


def test_a_session_taken_over_is_no_reconnect() -> None:
    line = replace(snapshot(0, [0], [0], sessions=4), takeovers_total=2).statistics(START)
    assert (line["reconnects"], line["takeovers"]) == (1, 2)


def test_before_the_first_session_there_was_no_reconnect() -> None:
    assert snapshot(0, [0], [0], sessions=0).statistics(START)["reconnects"] == 0


def retaining() -> Snapshot:
    """Two pipes: of 12 records dealt to the first, 3 wait, and 5 are acknowledged; the other is idle."""
    line = snapshot(12, [9, 0], [3, 0])
    one, other = line.pipes
    told = {"acknowledged_total": 5, "unacknowledged_records": 4, "unacknowledged_bytes": 80, "redelivered_total": 2}
    return replace(line, retains=True, pipes=[replace(one, waiting_bytes=60, **told), other])


def test_where_records_are_retained_lines_say_what_is_acknowledged() -> None:
    told = {
        "acknowledged": [5, 0], "unacknowledged": [4, 0], "unacknowledged_bytes": [80, 0], "redelivered": [2, 0],
    }  # fmt: skip
    assert told.items() <= retaining().balance().items()
    assert told.items() <= retaining().statistics(START).items()
    assert not told.keys() & snapshot(10, [4, 3], [2, 1]).balance().keys()


def test_all_that_is_retained_is_held() -> None:
    assert retaining().held_bytes() == [140, 0]


def test_what_is_unacknowledged_at_the_end_is_undelivered_once() -> None:
    """What stands in the pipe is unacknowledged, too."""
    end = replace(retaining(), unread=[Unread(2, 40), Unread(0, 0)])
    assert list(end.undelivered()) == [
        {"pipe": 0, "records": 7, "waiting": 3, "unread": 2, "unread_bytes": 40, "unacknowledged": 4}
    ]
