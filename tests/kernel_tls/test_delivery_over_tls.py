"""`lb-replay` over wss through `lb` to workers: every record, byte for byte, in the right pipe, in order, and the
balance exact, wherever the TLS session lives."""

from __future__ import annotations

import re
import signal
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from bulk_recorder import BULK_RECORDER
from gateway import KeyChangingGateway
from harness import SOON, Authority, Feed, Flood, Lb, replay
from harness.flood import numbers_of
from harness.takeover import assert_taken_over_without_a_hole
from market import Market, assert_delivered

pytestmark = pytest.mark.kernel_tls(native=True)

SYNTHETIC_COUNT = 20_000
SMALL_BUFFERS = {"lb.balancer.WAITING_BYTES": 1 << 20}
"""So that a stop has little to deliver."""

WHOLE_TRADE = re.compile(rb'{"ev":"T"[^}]*}(?=[],])')

BOTH_ROUTES = pytest.mark.parametrize("route", ["round-robin", "symbol"])


def lb_over(tls: str, url: str, pipes: int, *options: str, constants: dict[str, object] | None = None) -> Lb:
    return Lb(url, pipes, "--tls", tls, *options, worker=BULK_RECORDER, records=True, constants=constants)


@pytest.mark.parametrize(
    ("pipes", "route"),
    [(1, "round-robin"), (4, "round-robin"), (4, "symbol"), (57, "round-robin"), (57, "symbol")],
)
def test_the_opening_second(opening_second: Market, tls: str, pipes: int, route: str) -> None:
    records_total = len(opening_second.records)
    with (
        replay("--self-signed", "--end", "stay", *opening_second.source) as server,
        lb_over(tls, server.url, pipes, "--route", route, *server.trust) as lb,
    ):
        assert lb.await_line("session open")["tls"].startswith(f"{tls} TLS")
        lb.await_records(records_total)
        end = lb.stop()
    assert end.exit_code == 0
    assert (end.balance["received"], end.balance["written"], end.balance["exact"]) == (
        records_total,
        records_total,
        True,
    )
    assert_delivered(lb.recording, opening_second.deal(range(records_total), pipes, route))


def test_a_synthetic_market(tls: str) -> None:
    market = Market.synthetic()
    with (
        replay("--self-signed", "--end", "stay", "--count", f"{SYNTHETIC_COUNT}", *market.source) as server,
        lb_over(tls, server.url, 4, "--route", "symbol", *server.trust) as lb,
    ):
        lb.await_records(SYNTHETIC_COUNT)
        assert lb.stop().balance["exact"]
    assert_delivered(lb.recording, market.deal(range(SYNTHETIC_COUNT), 4, "symbol"))


def test_a_second_session_goes_on_where_the_first_ends(tls: str) -> None:
    assert_taken_over_without_a_hole(tls)


@BOTH_ROUTES
def test_three_forced_disconnects_lose_nothing(market: Market, tls: str, route: str) -> None:
    drops = ("--drop-every", "7001", "--drops", "3")
    with (
        replay("--self-signed", "--end", "stay", "--count", "30000", *drops, *market.source) as server,
        lb_over(tls, server.url, 4, "--route", route, *server.trust, constants=SOON) as lb,
    ):
        for _ in range(3):
            assert lb.await_line("session lost")["reason"] == "connection closed without close_notify"
        lb.await_records(30_000)
        end = lb.stop()
    assert end.statistics["reconnects"] == 3
    assert (end.balance["received"], end.balance["exact"]) == (30_000, True)
    assert len(lb.recording.pids) == 1, "the worker lives on"
    assert_delivered(lb.recording, market.deal(range(30_000), 4, route))


def test_a_stop_in_the_middle_delivers_what_was_received(market: Market, tls: str) -> None:
    """The feed is faster than the workers: pipes, outboxes and the socket are full."""
    loop = () if "--synthetic" in market.source else ("--loop",)
    small = ("--pipe-size", "65536", "--grace", "60")
    with (
        replay("--self-signed", *loop, *market.source) as server,
        lb_over(tls, server.url, 4, *small, *server.trust, constants=SMALL_BUFFERS) as lb,
    ):
        lb.await_records(2000)
        end = lb.stop()
    assert end.exit_code == 0
    assert end.balance["received"] == end.balance["written"] == lb.recording.total
    assert (end.balance["waiting"], end.balance["exact"]) == (0, True)
    assert end.balance["per_pipe"] == [len(lb.recording.pipes[pipe]) for pipe in range(4)]
    assert (lb.recording.ended_pipes, lb.recording.cut_off_pipes) == (4, 0)
    assert_delivered(lb.recording, market.deal(range(end.balance["received"]), 4, "round-robin"))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_either_version_of_tls(authority: Authority, tls: str, version: ssl.TLSVersion) -> None:
    context = authority.server_context("127.0.0.1")
    context.maximum_version = version
    with (
        Feed(tls=context) as feed,
        lb_over(tls, feed.url, 3, "--ca-file", authority.ca_file) as lb,
        feed.session() as peer,
        Flood(peer, limit=3000) as flood,
    ):
        name = "1.2" if version is ssl.TLSVersion.TLSv1_2 else "1.3"
        spelled = f"kernel TLS {name} " if tls == "kernel" else f"user TLSv{name} "
        assert lb.await_line("session open")["tls"].startswith(spelled)
        flood.wait()
        lb.await_records(3000)
        end = lb.stop(signal.SIGINT)
        assert peer.receive().close_code == 1000
    assert (end.exit_code, end.balance["received"], end.balance["exact"]) == (0, 3000, True)
    for pipe in range(3):
        assert numbers_of(lb.recording.pipes[pipe]) == list(range(pipe, 3000, 3))


def test_key_updates_in_the_middle(
    authority: Authority,
    market: Market,
    tls: str,
    follows_key_updates: bool,
    counted: Callable[[], dict[str, int]],
    tmp_path: Path,
) -> None:
    """Where the session can't follow, it is given up with all delivered that came before, and the next one is whole."""
    count = 20_000
    with (
        replay("--end", "stay", "--count", f"{count}", *market.source) as server,
        KeyChangingGateway(authority, tmp_path, server.url, interval_bytes=50_000, changing_sessions=1) as gateway,
        lb_over(tls, gateway.url, 4, "--ca-file", authority.ca_file, constants=SOON) as lb,
    ):
        before_update = 0
        if not follows_key_updates:
            assert "changed its keys" in lb.await_line("session lost")["reason"]
            before_update = len(WHOLE_TRADE.findall(gateway.before_update))
            assert before_update > 0
        lb.await_records(before_update + count)
        end = lb.stop()
    assert end.balance["exact"]
    assert end.statistics["reconnects"] == (0 if follows_key_updates else 1)
    assert_delivered(lb.recording, market.deal([*range(before_update), *range(count)], 4, "round-robin"))
    if follows_key_updates:
        assert gateway.updates_total >= 30
    if follows_key_updates and tls == "kernel":
        assert counted()["TlsRxRekeyOk"] == gateway.updates_total
        assert counted()["TlsTxRekeyOk"] == gateway.answers_total >= 1


def test_upgrades_in_place_keep_a_session_that_the_kernel_holds(authority: Authority, tls: str) -> None:
    """Of what is held in userspace, see tests/faults."""
    if tls == "user":
        return
    context = authority.server_context("127.0.0.1")
    words = ("--tls", tls, "--ca-file", authority.ca_file)
    with (
        Feed(tls=context) as feed,
        Lb(feed.url, 3, *words, worker=BULK_RECORDER, records=True, start_new_session=True) as lb,
        feed.session() as peer,
    ):
        for number in range(3):
            with Flood(peer, begin=number * 2000, limit=number * 2000 + 2000) as flood:
                if number:
                    lb.send_signal(signal.SIGHUP)
                    assert lb.await_line("upgraded")["session"] == "kept"
                flood.wait()
        lb.await_records(6000)
        end = lb.stop(signal.SIGINT)
    assert (end.exit_code, end.balance["received"], end.statistics["reconnects"]) == (0, 6000, 0)
    assert len(lb.recording.pids) == 1, "the worker lives on"
    for pipe in range(3):
        assert numbers_of(lb.recording.pipes[pipe]) == list(range(pipe, 6000, 3))
