"""A pong that can't be sent says nothing about what the feed has sent before: it is read to the end."""

from __future__ import annotations

import signal

import pytest
from harness import SOON, Authority, Feed, Lb, frame, message
from harness.feed import PING, Peer
from harness.flood import numbers_of, record

RECORDS = 600
"""Less than 128 KiB: more an ordinary user's socket does not take in unread."""


@pytest.mark.parametrize("end", [Peer.reset, Peer.fin])
@pytest.mark.parametrize("tls", [False, True])
def test_what_the_kernel_holds_is_delivered(authority: Authority, end: type[Peer.fin], tls: bool) -> None:
    context = authority.server_context("127.0.0.1") if tls else None
    with Feed(tls=context) as feed, Lb(feed.url, 1, "--ca-file", authority.ca_file, constants=SOON) as lb:
        peer = feed.session()
        lb.await_line("session open")
        lb.send_signal(signal.SIGSTOP)
        peer.send(frame(b"are you there?", PING))
        for begin in range(0, RECORDS, 100):
            peer.send(frame(message(map(record, range(begin, begin + 100)))))
        peer.await_arrival()
        end(peer)
        lb.send_signal(signal.SIGCONT)
        line = lb.await_line("session lost")
        assert line["cut_off_bytes"] == 0
        assert numbers_of(lb.await_records(RECORDS).pipes[0]) == list(range(RECORDS))
