"""Real market data from `lb-replay` through `lb` to workers: all of it, byte for byte, in the right pipe, in order."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable
from pathlib import Path

import model
import pytest
import zstandard
from harness import Feed, Lb, Recording, message, replay

pytestmark = pytest.mark.slow

OPENING_SECOND = "polygon_trades_open_20131218.jsonl.zst"
CRYPTO_QUOTES = "polygon_xq_20230726.jsonl.zst"
WIRE_SAMPLES = "polygon_wire_samples.jsonl"
AT_ONCE = {"lb.feed.keeper.LEAST_DELAY_S": 0.001}


def records_of(texts: list[bytes]) -> list[bytes]:
    return [record for text in texts for record in model.cut(text, 1 << 20).records]


def lines_of(file: Path) -> list[bytes]:
    with file.open("rb") as compressed:
        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(compressed)).read().splitlines()


def dealt(records: list[bytes], pipes: int, route: str) -> dict[int, list[bytes]]:
    """Which pipe must bring what; a pipe without records is left out."""
    expected: dict[int, list[bytes]] = {}
    for number, record in enumerate(records):
        key = model.string_member(record, b"sym") or model.string_member(record, b"pair") or b""
        pipe = number % pipes if route == "round-robin" else model.pipe_of_key(key, pipes)
        expected.setdefault(pipe, []).append(record)
    return expected


@pytest.fixture(scope="module")
def opening_second(data: Path) -> list[bytes]:
    records = records_of(lines_of(data / OPENING_SECOND))
    assert len(records) == 32_444
    return records


@pytest.fixture(scope="module")
def expected_of(opening_second: list[bytes]) -> Callable[[int, str], dict[int, list[bytes]]]:
    known: dict[tuple[int, str], dict[int, list[bytes]]] = {}

    def expected(pipes: int, route: str) -> dict[int, list[bytes]]:
        if (pipes, route) not in known:
            known[pipes, route] = dealt(opening_second, pipes, route)
        return known[pipes, route]

    return expected


def assert_delivered(recording: Recording, expected: dict[int, list[bytes]]) -> None:
    """Without pytest's comparison of megabytes where it fails."""
    assert recording.total == sum(map(len, expected.values()))
    assert recording.pipes.keys() == expected.keys()
    differing = [pipe for pipe in expected if recording.pipes[pipe] != expected[pipe]]
    assert not differing, f"pipes {differing} brought something else"


@pytest.mark.parametrize("route", ["round-robin", "symbol"])
@pytest.mark.parametrize("pipes", [1, 4, 57])
@pytest.mark.parametrize("wss", [False, True])
def test_the_opening_second_at_full_speed(
    data: Path, expected_of: Callable[[int, str], dict[int, list[bytes]]], wss: bool, pipes: int, route: str
) -> None:
    tls = ("--self-signed",) if wss else ()
    with (
        replay("--speed", "max", "--end", "stay", *tls, str(data / OPENING_SECOND)) as server,
        Lb(server.url, pipes, "--route", route, *server.trust) as lb,
    ):
        lb.await_records(32_444)
        end = lb.stop()
    assert end.exit_code == 0
    assert (end.balance["received"], end.balance["written"], end.balance["exact"]) == (32_444, 32_444, True)
    assert_delivered(lb.recording, expected_of(pipes, route))


@pytest.mark.parametrize("route", ["round-robin", "symbol"])
@pytest.mark.parametrize("pipes", [4, 57])
@pytest.mark.parametrize("wss", [False, True])
def test_three_forced_disconnects_lose_nothing(
    data: Path, expected_of: Callable[[int, str], dict[int, list[bytes]]], wss: bool, pipes: int, route: str
) -> None:
    tls = ("--self-signed",) if wss else ()
    drops = ("--drop-every", "7001", "--drops", "3")
    with (
        replay("--speed", "max", "--end", "stay", *drops, *tls, str(data / OPENING_SECOND)) as server,
        Lb(server.url, pipes, "--route", route, *server.trust, constants=AT_ONCE) as lb,
    ):
        lb.await_records(32_444)
        end = lb.stop()
    assert end.statistics["reconnects"] == 3
    assert (end.balance["received"], end.balance["exact"]) == (32_444, True)
    assert len(lb.recording.pids) == 1, "the worker lives on"
    assert_delivered(lb.recording, expected_of(pipes, route))


@pytest.mark.parametrize("options", [("--pipe-size", "4096"), ("--spawn", "per-pipe"), ("--tls", "user")])
def test_in_small_fragments_with_pings_between(
    data: Path, expected_of: Callable[[int, str], dict[int, list[bytes]]], options: tuple[str, ...]
) -> None:
    with (
        replay("--speed", "max", "--end", "stay", "--fragment", "1000", str(data / OPENING_SECOND)) as server,
        Lb(server.url, 4, *options) as lb,
    ):
        lb.await_records(32_444)
        assert lb.stop().balance["exact"]
    if "per-pipe" not in options:
        assert_delivered(lb.recording, expected_of(4, "round-robin"))
    else:
        shares = sorted(share[0] for share in lb.recording.by_pid.values())
        assert shares == sorted(expected_of(4, "round-robin").values())


@pytest.mark.parametrize("route", ["round-robin", "symbol"])
def test_crypto_quotes(data: Path, route: str) -> None:
    records = records_of(lines_of(data / CRYPTO_QUOTES))
    assert len(records) == 10_795
    with (
        replay("--speed", "max", "--end", "stay", str(data / CRYPTO_QUOTES)) as server,
        Lb(server.url, 4, "--route", route, "--subscribe", "XQ.*") as lb,
    ):
        lb.await_records(len(records))
        lb.stop()
    assert_delivered(lb.recording, dealt(records, 4, route))


@pytest.mark.parametrize("pipes", [1, 4, 57])
def test_every_captured_message_of_data(data: Path, pipes: int) -> None:
    """As they stand; a status that ends a session has tests of its own."""
    texts = [text for text in (data / WIRE_SAMPLES).read_bytes().splitlines() if b'"ev":"status"' not in text]
    records = records_of(texts)
    with Feed() as feed, Lb(feed.url, pipes, "--route", "symbol") as lb, feed.session() as peer:
        for text in texts:
            peer.say(text)
        lb.await_records(len(records))
        end = lb.stop()
    assert end.statistics["records_exact"] == 0, "all by the fast path"
    assert_delivered(lb.recording, dealt(records, pipes, "symbol"))


def test_a_first_frame_that_mixes_statuses_and_a_trade() -> None:
    trade = b'{"ev":"T","sym":"MSFT","i":8310,"x":4,"p":156.9799,"s":3,"c":[37],"t":1577818283019,"z":3}'
    first = message(
        [
            b'{"ev":"status","status":"auth_success","message":"authenticated"}',
            b'{"ev":"status","status":"success","message":"subscribed to: T.*"}',
            trade,
        ]
    )
    with Feed() as feed, Lb(feed.url, 2) as lb, feed.connection().upgrade() as peer:
        peer.say(b'[{"ev":"status","status":"connected","message":"Connected Successfully"}]')
        peer.receive_action("auth")
        peer.say(first)
        peer.receive_action("subscribe")
        assert lb.await_records(1).pipes == {0: [trade]}
        assert lb.stop().balance["received"] == 1


EVENTS = [
    b'{"ev":"T","sym":"BRK.B","i":"1"}',
    b'{"ev":"Q","sym":"BRK.B","c":1}',
    b'{"ev":"A","sym":"BRK.B","v":1}',
    b'{"ev":"AM","sym":"BRK.B","v":1}',
    b'{"ev":"T","sym":"O:SPXW251208C06840000","x":302}',
    b'{"ev":"XT","pair":"BTC-USD","p":1}',
    b'{"ev":"XQ","pair":"BTC-USD","lp":0}',
    b'{"ev":"XA","pair":"BTC-USD","v":1}',
    b'{"ev":"XL2","pair":"BTC-USD","b":[[1,2],[3,4]]}',
    b'{"ev":"LULD","h":3.63,"l":2.97,"i":[15],"z":3,"T":"ATHR","t":1788877046310003385,"q":3209681}',
    b'{"ev":"FMV","fmv":509.917,"sym":"MSFT","t":1}',
    b'{"ev":"V","val":3988.5,"T":"I:SPX","t":1}',
    b'{"ev":"C","p":"EUR/USD","a":1}',
    b'{"ev":"CA","pair":"EUR/USD","o":1}',
    b'{"ev":"lagg","ms":5}',
]


@pytest.mark.parametrize("pipes", [1, 4, 57])
def test_every_event_is_routed_by_its_own_key(pipes: int) -> None:
    reference = model.Model(pipes, model.SYMBOL, 1 << 20)
    reference.session([model.Frame(model.TEXT, message(EVENTS))])
    with Feed() as feed, Lb(feed.url, pipes, "--route", "symbol") as lb, feed.session() as peer:
        peer.say(message(EVENTS))
        lb.await_records(len(EVENTS))
        lb.stop()
    assert_delivered(lb.recording, {pipe: records for pipe, records in enumerate(reference.pipes) if records})


def test_all_events_of_a_symbol_go_to_one_pipe_in_order() -> None:
    events = [
        b'{"ev":"%s","sym":"AAPL","n":%d}' % (b"TQA"[number % 3 : number % 3 + 1], number) for number in range(300)
    ]
    with Feed() as feed, Lb(feed.url, 57, "--route", "symbol") as lb, feed.session() as peer:
        peer.say(message(events))
        assert lb.await_records(300).pipes == {model.pipe_of_key(b"AAPL", 57): events}


def test_least_backlog_goes_on_past_a_frozen_worker() -> None:
    """It has what its pipe held when it froze, the others all the rest; once it goes on, nothing is missing."""
    records = [b'{"ev":"T","sym":"S%d","i":%d}' % (number % 7, number) for number in range(2000)]
    options = ("--route", "least-backlog", "--spawn", "per-pipe", "--pipe-size", "4096")
    with Feed() as feed, Lb(feed.url, 3, *options) as lb, feed.session() as peer:
        frozen = lb.await_recorders(3)[0]
        os.kill(frozen, signal.SIGSTOP)
        for at in range(0, len(records), 20):
            peer.say(message(records[at : at + 20]))
            lb.await_records(at + 20 - 2 * 4096 // len(records[0]))
        os.kill(frozen, signal.SIGCONT)
        recording = lb.await_records(len(records))
        assert sorted(record for pipe in recording.pipes.values() for record in pipe) == sorted(records)
        end = lb.stop()
        assert (end.exit_code, end.balance["exact"], end.balance["written"]) == (0, True, len(records))
