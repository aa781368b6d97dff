"""--once: one session, and its end is lb's."""

from __future__ import annotations

import pytest
from harness import SOON, Feed, Lb, message
from harness.feed import Peer

RECORD = b'{"ev":"T","sym":"A"}'


@pytest.mark.parametrize("code", [1000, 1001])
def test_the_feeds_normal_close_is_exit_code_0(code: int) -> None:
    with Feed() as feed, Lb(feed.url, 1, "--once") as lb, feed.session() as peer:
        peer.say(message([RECORD]))
        peer.close(code)
        end = lb.wait()
        assert (end.exit_code, lb.recording.pipes) == (0, {0: [RECORD]})
        assert not feed.has_caller()
        assert not [line for line in lb.lines if line["level"] in ("error", "warning")]


@pytest.mark.parametrize("end", [Peer.reset, Peer.fin, lambda peer: peer.close(1011)])
def test_any_other_end_is_exit_code_69(end: type[Peer.fin]) -> None:
    with Feed() as feed, Lb(feed.url, 1, "--once") as lb:
        peer = feed.session()
        peer.say(message([RECORD]))
        lb.await_records(1)
        end(peer)
        assert lb.wait().exit_code == 69
        assert not feed.has_caller()
        peer.fin()


def test_a_refusal_keeps_its_own_exit_code() -> None:
    with Feed() as feed, Lb(feed.url, 1, "--once") as lb, feed.session() as peer:
        peer.say(message([b'{"ev":"status","status":"auth_failed","message":"revoked"}']))
        assert lb.wait().exit_code == 77


def test_until_there_was_a_session_it_is_tried_again() -> None:
    with Feed() as feed, Lb(feed.url, 1, "--once", constants=SOON) as lb:
        feed.connection().fin()
        lb.await_line("no session")
        with feed.session() as peer:
            peer.close(1000)
            assert lb.wait().exit_code == 0
