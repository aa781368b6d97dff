"""What lb-top and the page show, of what lb tells those who watch."""

from __future__ import annotations

from typing import Any

import pytest

from trade_balancer.control.view import DROPS_S, KEPT_S, LISTED, View, end_in_words, is_ready, ranges

NOW_S = 1_700_000_000.0


def status(at_s: float = 1.0, *, pipes: int = 2, records: int = 0, pid: int = 7, **session: Any) -> dict[str, Any]:
    """Of an lb in good order, `at_s` after its start."""
    of_pipe = dict.fromkeys(("held_bytes", "written_total", "waiting_records", "spilled_records", "dropped_total"), 0)
    of_slot = {
        "state": "running", "paused": False, "pid": 1, "ran_s": at_s, "starts_total": 1, "failures": 0, "says": "",
    }  # fmt: skip
    return {
        "name": "status",
        "lb": {"pid": pid, "state": "running", "uptime_s": at_s, "version": "1"},
        "session": {
            "state": "open", "url": "ws://feed", "tls": "none", "topics": ["T.*"], "unacknowledged": [], "rejected": [],
            "sessions_total": 1, "takeovers_total": 0, "last_reason": "", "sessions": [], "gaps": [], **session,
        },
        "balance": {"received": records, "exact": True, "per_pipe": [0]},
        "counters": {"records_total": records, "unwanted_total": 0, "stopped": 0, "full_pipe": 0},
        "lag": {"lag_p50_ms": 1.0, "lag_p99_ms": 2.0},
        "slots": [{"slot": number, "pipes": [number], "last_end": None, **of_slot} for number in range(pipes)],
        "pipes": [{"pipe": number, "capacity_bytes": 1000, "full_in_s": None, **of_pipe} for number in range(pipes)],
        "readers": [],
    }  # fmt: skip


def alarms(view: View) -> list[str]:
    return [alarm["text"] for alarm in view.picture["alarms"]]


def test_the_rate_is_of_the_same_lb_alone() -> None:
    view = View()
    for at_s, records, pid in ((1.0, 100, 7), (3.0, 500, 7), (1.0, 9, 8), (2.0, 10, 8)):
        view.take(status(at_s, records=records, pid=pid), NOW_S)
    assert [point[1] for point in view.points] == [None, 200.0, None, 1.0]


def test_minutes_are_kept_and_no_more() -> None:
    view = View()
    for second in range(2 * KEPT_S):
        view.take(status(second + 1.0), NOW_S + second)
    assert (len(view.points), view.points[-1][0]) == (KEPT_S, NOW_S + 2 * KEPT_S - 1)


def test_of_many_pipes_the_fullest_are_listed_and_of_many_workers_those_in_trouble() -> None:
    now, view = status(pipes=1000), View()
    for number in (17, 900):
        now["pipes"][number]["held_bytes"] = 500
        now["slots"][number]["state"] = "stuck"
    view.take(now, NOW_S)
    picture = view.picture
    assert len(picture["pipes"]) == len(picture["workers"]) == LISTED
    assert {pipe["pipe"] for pipe in picture["pipes"] if pipe["share"] == 0.5} == {17, 900}
    assert {worker["slot"] for worker in picture["workers"] if worker["state"] == "stuck"} == {17, 900}
    assert (picture["pipes_total"], picture["workers_total"], picture["workers_running"]) == (1000, 1000, 998)
    assert alarms(view) == ["Worker 17 does not read its pipe", "Worker 900 does not read its pipe"]


@pytest.mark.parametrize(
    ("failures", "ran_s", "told"),
    [
        (0, 5.0, []),
        (1, 5.0, []),
        (2, 5.0, ["Worker 0 ends again and again: exit code 74 after 2.1 s: no room"]),
        (2, 61.0, []),
    ],
)
def test_a_worker_that_ends_again_and_again_is_an_alarm_while_it_runs(
    failures: int, ran_s: float, told: list[str]
) -> None:
    now, view = status(), View()
    now["slots"][0] |= {
        "failures": failures,
        "ran_s": ran_s,
        "last_end": {"exit_code": 74, "ran_s": 2.1, "why": "no room"},
    }
    view.take(now, NOW_S)
    assert alarms(view) == told


def test_drops_that_come_now_and_then_are_one_alarm() -> None:
    view = View()
    for at_s, dropped in ((1.0, 0), (2.0, 50), (2.0 + DROPS_S / 2, 50)):
        now = status(at_s)
        now["pipes"][1]["dropped_total"] = dropped
        view.take(now, NOW_S)
    assert alarms(view) == ["Pipe 1 is full: records for it are dropped"]
    now = status(2.0 + DROPS_S)
    now["pipes"][1]["dropped_total"] = 50
    view.take(now, NOW_S)
    assert alarms(view) == []


@pytest.mark.parametrize(("held_bytes", "told"), [(10, []), (300, ["Pipe 0 is full in 4 s"])])
def test_a_burst_into_an_empty_pipe_is_no_alarm(held_bytes: int, told: list[str]) -> None:
    now, view = status(), View()
    now["pipes"][0] |= {"held_bytes": held_bytes, "full_in_s": 4.2}
    view.take(now, NOW_S)
    assert alarms(view) == told


def test_what_is_over_for_more_than_an_hour_is_not_shown() -> None:
    ended = (
        {"began": "2023-11-14T20:00:00Z", "ended": f"2023-11-14T{at}Z", "tls": "none"}
        for at in ("21:13:19", "21:13:21")
    )
    view = View()
    view.take(status(sessions=[*ended, {"began": "2023-11-14T21:14:00Z", "tls": "none"}]), NOW_S)  # 22:13:20
    assert [session.get("ended") for session in view.picture["sessions"]] == [None, "2023-11-14T21:13:21Z"]


def test_it_is_ready_while_all_is_well_and_only_then() -> None:
    def waits(**session: Any) -> list[str]:
        return [what for what, is_so in is_ready(status(**session)) if not is_so]

    assert waits() == waits(topics=[]) == waits(topics=["A", "B"], unacknowledged=["B"]) == []
    assert waits(unacknowledged=["T.*"]) == ["topics are acknowledged"]
    assert waits(state="talking") == ["the session is open, the key accepted", "topics are acknowledged"]
    now = status()
    now["slots"][1]["paused"] = True
    assert [is_so for _, is_so in is_ready(now)] == [True, True, True, False]


def test_words() -> None:
    assert ranges([0, 1, 2, 5, 7, 8]) == "0-2, 5, 7-8"
    assert end_in_words({"signal": "SIGKILL", "ran_s": 2.04, "why": "sent by lb"}) == "SIGKILL after 2.0 s: sent by lb"
    assert end_in_words({"exit_code": 3, "ran_s": 1.0, "why": None}) == "exit code 3 after 1.0 s"
