"""`lb` and its service manager: a real process, real datagrams."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from harness.feed import AUTH_SUCCESS, CONNECTED, SUBSCRIBED, Feed, Peer
from harness.lb_process import KEY, Lb, inline, run_lb
from harness.service_manager import Listening

from lb.service.service import MARGIN_S

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("listening", ["path"], indirect=True)]


def manager(listening: Listening, watchdog_s: float = 0.0) -> dict[str, str]:
    """What a service finds in its environment."""
    return {"NOTIFY_SOCKET": listening.address, "WATCHDOG_USEC": str(int(watchdog_s * 1e6))}


def test_ready_comes_after_the_session_the_subscription_and_the_workers(listening: Listening) -> None:
    with Feed() as feed, Lb(feed.url, 2, "--spawn", "per-pipe", environment=manager(listening)) as lb:
        assert listening.next().keys() == {"WATCHDOG"}
        assert listening.next()["STATUS"].startswith("no session (opening), ")
        with feed.connection().upgrade() as peer:
            peer.say(CONNECTED)
            peer.receive_action("auth")
            peer.say(AUTH_SUCCESS)
            peer.receive_action("subscribe")
            lb.await_line("session open")
            assert listening.await_telling("WATCHDOG").keys() == {"WATCHDOG"}  # looked at, and not ready
            peer.say(SUBSCRIBED)
            assert listening.await_telling("READY") == {"READY": "1"}
            assert listening.await_telling("STATUS")["STATUS"].startswith("0 records/s, backlog 0.0 MB, 2 of 2 workers")
            lb.stop()


def test_a_topic_that_the_feed_does_not_have_delays_ready_and_keeps_it_from_nobody(listening: Listening) -> None:
    constants = {"lb.feed.topics.ACKNOWLEDGE_S": 0.3}
    with (
        Feed() as feed,
        Lb(feed.url, 1, "--subscribe", "T.*,X.*", environment=manager(listening), constants=constants) as lb,
        feed.session(),
    ):
        lb.await_line("topics that the feed has not acknowledged")
        listening.await_telling("READY")
        lb.stop()


def test_a_stop_is_told_with_the_time_of_each_step(listening: Listening) -> None:
    with Feed() as feed, Lb(feed.url, 1, "--grace", "40", environment=manager(listening)) as lb:
        with feed.session() as peer:
            peer.say(b'[{"ev":"T","sym":"A"}]')
            lb.await_records(1)
            listening.await_telling("READY")
            assert lb.stop().exit_code == 0
        steps = [listening.await_telling("STOPPING"), listening.await_telling("STOPPING")]
        assert [round(int(step["EXTEND_TIMEOUT_USEC"]) / 1e6 - MARGIN_S) for step in steps] == [40, 40]
        while "stopped" not in (told := listening.await_telling("STATUS")["STATUS"]):
            pass
        assert told == "stopped: 1 records received, all delivered"


def test_the_watchdog_has_patience_while_another_program_takes_over(listening: Listening) -> None:
    environment = manager(listening, watchdog_s=10)
    with Feed() as feed, Lb(feed.url, 1, environment=environment, start_new_session=True) as lb, feed.session():
        listening.await_telling("READY")
        lb.send_signal(signal.SIGHUP)
        assert [listening.await_telling("WATCHDOG_USEC")["WATCHDOG_USEC"] for _ in range(2)] == ["90000000", "10000000"]
        lb.await_line("upgraded")
        assert lb.stop().exit_code == 0


def test_workers_do_not_speak_for_lb(listening: Listening) -> None:
    worker = inline("import json, os; print(json.dumps(dict(os.environ)), flush=True); os.read(0, 1)")
    environment = manager(listening, watchdog_s=10) | {"CREDENTIALS_DIRECTORY": "/run/credentials/lb@x.service"}
    with Feed() as feed, Lb(feed.url, 1, worker=worker, environment=environment) as lb:
        told = json.loads(lb.await_output().splitlines()[0])
        assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & told.keys()
        assert told["CREDENTIALS_DIRECTORY"]  # a database's password may be there
        lb.send_signal(signal.SIGKILL)
        lb.wait()


def test_why_it_has_ended_is_its_last_status(listening: Listening) -> None:
    with Feed() as feed, Lb(feed.url, 1, environment=manager(listening)) as lb, feed.connection().upgrade() as peer:
        refuse(peer)
        assert lb.wait().exit_code == 77
    while "refuse" not in (status := listening.await_telling("STATUS")["STATUS"]):
        pass
    assert KEY not in status


def test_why_it_has_not_begun_is_its_status(listening: Listening, tmp_path: Path) -> None:
    environment = {**os.environ, **manager(listening)}
    assert run_lb(f"@{tmp_path}/none", "ws://h/", "1", ".", "w", env=environment).returncode == 66
    assert "can't be read" in listening.next()["STATUS"]
    assert run_lb("key", "wss://h/", "many", ".", "w", env=environment).returncode == 64
    assert "many" in listening.next()["STATUS"]


def refuse(peer: Peer) -> None:
    peer.say(CONNECTED)
    peer.receive_action("auth")
    peer.say(b'[{"ev":"status","status":"auth_failed","message":"authentication failed: ' + KEY.encode() + b'"}]')
