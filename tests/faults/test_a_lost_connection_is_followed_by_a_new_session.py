"""The connection ends without a word: at an edge or inside a frame, by FIN or by RST, with TLS or without."""

from __future__ import annotations

import pytest
from harness import SOON, Authority, Feed, Lb, frame, message
from harness.feed import Peer
from harness.flood import record

ENDS = {
    "FIN": Peer.fin,
    "RST": Peer.reset,
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("cut_bytes", [0, 1, 3, 40, 199])
@pytest.mark.parametrize("tls", [False, True])
def test_records_before_are_delivered_and_round_robin_goes_on(
    authority: Authority, end: str, cut_bytes: int, tls: bool
) -> None:
    context = authority.server_context("127.0.0.1") if tls else None
    with Feed(tls=context) as feed, Lb(feed.url, 2, "--ca-file", authority.ca_file, constants=SOON) as lb:
        peer = feed.session()
        raw = frame(message([record(0), record(1)])) + frame(message([record(2)])) + frame(message([record(30)]))
        cut = raw[: len(raw) - cut_bytes] if cut_bytes else raw
        whole = 4 if cut_bytes < 2 else 3
        peer.send(cut)
        lb.await_records(whole)
        ENDS[end](peer)
        lb.await_line("session lost")
        with feed.session() as peer:
            peer.say(message([record(4), record(5)]))
            recording = lb.await_records(whole + 2)
            delivered = [*[record(0), record(1), record(2), record(30)][:whole], record(4), record(5)]
            assert recording.pipes == {0: delivered[::2], 1: delivered[1::2]}
            assert len(recording.pids) == 1
        assert lb.stop().balance["exact"]


def test_the_end_of_a_tls_session_that_is_announced_is_told_apart_from_one_that_is_not(authority: Authority) -> None:
    """Without close_notify, anybody may have cut the stream (RFC 8446 section 6.1)."""
    with (
        Feed(tls=authority.server_context("127.0.0.1")) as feed,
        Lb(feed.url, 1, "--ca-file", authority.ca_file, constants=SOON) as lb,
    ):
        feed.session().fin()
        assert lb.await_line("session lost")["reason"] == "connection closed without close_notify"
        feed.session().close_notify()
        assert lb.await_line("session lost")["reason"] == "connection closed without a close frame"


def test_many_times_in_a_row() -> None:
    with (
        Feed() as feed,
        Lb(feed.url, 3, constants={"lb.feed.keeper.LEAST_DELAY_S": 1e-6, "lb.feed.keeper.MOST_DELAY_S": 1e-3}) as lb,
    ):
        for number in range(60):
            with feed.session() as peer:
                peer.say(message([record(number)]))
                lb.await_records(number + 1)
        recording = lb.await_records(60)
        assert recording.pipes == {pipe: [record(n) for n in range(pipe, 60, 3)] for pipe in range(3)}
        assert len(recording.pids) == 1
        end = lb.stop()
        assert end.exit_code == 0
        assert 59 <= end.statistics["reconnects"] <= 60
