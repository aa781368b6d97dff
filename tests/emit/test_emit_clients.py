"""lb-emit and its clients, with real sockets: what they ask for, what they get, and what happens to those who are slow,
rude or many."""

from __future__ import annotations

import contextlib
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from harness.authority import Authority
from harness.emitting import CLOSE, T_MS, TEXT, TIMEOUT_S, Client, Emit, frames, masked, rude, statuses, trade
from websockets.exceptions import InvalidStatus

pytestmark = pytest.mark.slow

FAST = ("--tick-ms", "2", "--drain", "0.1")
NEVER_CUT_OFF = {
    "trade_balancer.emit.visitor.CLOSE_S": 120.0,
    "trade_balancer.emit.program._UNACKNOWLEDGED_MS": 120_000,
}
"""Whoever is closed has been told why, however busy the machine is; and nobody goes that is not closed."""


def test_a_client_gets_what_is_there_what_comes_and_no_more_than_it_asks_for() -> None:
    with Emit(*FAST) as emit, emit.client() as client:
        emit.feed(trade("A", 297.845), trade("B", 4.522e-05), trade("B", 12.0, 7), trade("C", 1.0))
        emit.await_metric("lb_emit_records_total", lambda total: total == 4)
        assert client.subscribe("T.A,T.B,NOPE.A,T.LATER") == [
            *(("success", f"subscribed to: {topic}") for topic in ("T.A", "T.B", "T.LATER")),
            ("error", "no topics: NOPE.A"),
        ]
        assert client.hear()["T"] == {"A": [297.845, 100, T_MS], "B": [12, 7, T_MS]}
        emit.feed(trade("C", 2.0), trade("LATER", 3.0))
        assert client.hear()["T"] == {"LATER": [3, 100, T_MS]}
        client.say("unsubscribe", ["T.A"])
        assert statuses(client.hear()) == [("success", "unsubscribed to: T.A")]
        assert client.hear()["T"].keys() == {"B", "LATER"}, "who has other topics gets all values of them once"
        emit.feed(trade("A", 5.0), trade("B", 6.0))
        assert client.hear()["T"] == {"B": [6, 100, T_MS]}
        client.say("ping", id=7, screen_ms=3)
        pong = client.hear()
        assert pong["pong"] == 7
        assert pong["source"] == "here"
        emit.await_metric("lb_emit_hop_seconds_count", lambda total: total == 1, hop="screen")
        emit.end_pipe()
        code, reason, (said,) = client.end()
        assert code == 1012
        assert reason.startswith("retry in ")
        assert said[0]["status"] == "leaving"
        assert 0 <= said[0]["retry_ms"] <= 100
        assert emit.wait() == 0


VENDORS = """
import asyncio, os, sys
from massive import WebSocketClient

client = WebSocketClient("any key", sys.argv[1], subscriptions=["T.AAPL"], secure=False, max_reconnects=0)

async def take(messages):
    for message in messages:
        print(message.symbol, message.price, message.sequence_number, flush=True)
        if message.sequence_number == 2:
            os._exit(0)  # its own close() waits for a second

asyncio.run(client.connect(take))
"""


def test_the_vendor_s_own_client_takes_it_for_the_vendor() -> None:
    texts = [b'{"ev":"T","sym":"AAPL","i":"9","x":4,"p":%d.5,"s":10,"t":%d,"q":%d}' % (n, T_MS, n) for n in range(3)]
    with Emit(*FAST) as emit:
        emit.feed(texts[0])
        words = [sys.executable, "-c", VENDORS, emit.ws.removeprefix("ws://")]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as client:
            assert client.stdout is not None
            for number, line in enumerate(client.stdout):
                assert line == f"AAPL {number}.5 {number}\n"
                if number + 1 < len(texts):
                    emit.feed(texts[number + 1])
            assert (number, client.wait(TIMEOUT_S)) == (2, 0)


def all_get(emit: Emit, good: Client, symbols: Sequence[str], number: int) -> None:
    """New prices of all, which one client reads."""
    emit.feed(*(trade(symbol, 1000.0 + number) for symbol in symbols))
    good.until(lambda values: values["T"].get(symbols[-1], [0])[0] == 1000 + number)


def test_who_never_reads_costs_little_and_others_nothing_and_is_closed() -> None:
    """Frames of 60 kB, of which 100 would be 6 MB, for each of four."""
    symbols = [f"S{number}" for number in range(2000)]
    with contextlib.ExitStack() as stack:
        emit = stack.enter_context(Emit(*FAST, "--slow-after", "4", constants=NEVER_CUT_OFF))
        good = stack.enter_context(emit.client())
        rudes = [stack.enter_context(rude(emit.port, ["T.*"], receive_bytes=4096)) for _ in range(4)]
        good.subscribe("T.*")
        all_get(emit, good, symbols, 0)
        before = emit.rss_bytes
        for number in range(1, 100):
            all_get(emit, good, symbols, number)
        assert emit.rss_bytes - before < 6 << 20
        emit.await_metric("lb_emit_clients_closed_slow_total", lambda total: total == len(rudes))
        emit.await_metric("lb_emit_clients", lambda total: total == 1)
        for each in rudes:
            *_, (opcode, payload) = frames(each)
            assert (opcode, payload[:2]) == (CLOSE, (1013).to_bytes(2, "big"))
        all_get(emit, good, symbols, 100)


def test_who_wakes_up_gets_the_newest_and_the_count_of_what_was_skipped() -> None:
    """What both kernels hold was sent before, and then one frame has it all."""
    symbols = [f"S{number}" for number in range(1000)]
    with Emit(*FAST) as emit, emit.client() as good, rude(emit.port, ["T.*"], receive_bytes=4096) as sleeper:
        good.subscribe("T.*")
        for number in range(100):
            all_get(emit, good, symbols, number)
        sleeper.sendall(masked(b'{"action":"ping","screen_ms":1}'))
        good.say("ping", id="after it")
        while good.hear().get("pong") != "after it":
            pass
        emit.await_metric("lb_emit_hop_seconds_count", lambda total: total == 0, hop="screen")  # and it is not heard
        values: dict[str, list[float]] = {}
        skipped, ticks = 0, []
        for opcode, payload in frames(sleeper):
            said = json.loads(payload) if opcode == TEXT else []
            if "tick" not in said:  # a status, or the pong
                continue
            values |= said["T"]
            skipped += said["skipped"]
            ticks.append(said["tick"])
            if values.get(symbols[-1], [0])[0] == 1099:
                break
        assert ticks == sorted(set(ticks))
        assert {value[0] for value in values.values()} == {1099}
        assert skipped > 50 * len(symbols)
        emit.await_metric("lb_emit_values_skipped_total", lambda total: total == skipped)
        emit.await_metric("lb_emit_hop_seconds_count", lambda total: total == 1, hop="screen")


def test_a_token_is_asked_for_and_may_change(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.touch(mode=0o600)
    file.write_text("one\nother\n")
    with Emit(*FAST, "--token-file", file) as emit:
        with emit.client() as client:
            client.say("subscribe", "T.A")
            assert statuses(client.hear()) == [("auth_required", "authentication required")]
            client.say("auth", "other")
            assert statuses(client.hear()) == [("auth_success", "authenticated")]
            assert client.subscribe("T.A") == [("success", "subscribed to: T.A")]
        with emit.client() as client:
            client.say("auth", "wrong")
            code, _, said = client.end()
            assert code == 1008
            assert statuses(said[0]) == [("auth_failed", "authentication failed")]
        with emit.client(additional_headers={"Authorization": "Bearer one"}) as client:
            assert client.subscribe("T.A") == [("success", "subscribed to: T.A")]
        emit.await_metric("lb_emit_refused_total", lambda total: total == 1, reason="token")
        file.write_text("new\n")
        accepted = False
        while not accepted:  # as soon as it has looked
            with emit.client() as client:
                client.say("auth", "new")
                accepted = statuses(client.hear())[0][0] == "auth_success"
        with emit.client() as client:
            client.say("auth", "one")
            assert client.end()[0] == 1008
        file.chmod(0o644)
        emit.await_told("others may read")
        assert "new" not in "".join(emit.told)


def refused(emit: Emit, path: str = "/ws", **connecting: object) -> int:
    with pytest.raises(InvalidStatus) as refusal, emit.client(path, **connecting):
        pass
    return int(refusal.value.response.status_code)


def test_pages_of_other_places_and_too_many_clients_are_refused() -> None:
    with Emit(*FAST, "--origin", "https://ours.example", "--clients-per-address", "2", "--clients", "3") as emit:
        own = f"http://127.0.0.1:{emit.port}"
        assert refused(emit, origin="https://evil.example") == 403
        assert refused(emit, additional_headers={"Host": "evil.example"}) == 421
        assert refused(emit, origin="http://[") == 403
        assert refused(emit, additional_headers={"Host": "["}) == 421
        assert refused(emit, "/nothing") == 404
        with emit.client(origin="https://ours.example"), emit.client(origin=own):
            assert refused(emit) == 429
            with emit.client(source_address=("127.0.0.2", 0)):
                assert refused(emit, source_address=("127.0.0.3", 0)) == 503
        reasons = {"origin": 4, "address": 1, "full": 1, "token": 0, "words": 0}
        for reason, count in reasons.items():
            emit.await_metric("lb_emit_refused_total", lambda total, count=count: total == count, reason=reason)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (masked(b"x" * 70_000), 1009),
        (masked(b"{}") * 300, 1008),
        (b"\x81\x02{}", 1002),  # without a mask
        (masked(b"\xff\xff"), None),
        (masked(b"[]"), None),
        (masked(b'{"action":"subscribe","params":[1]}'), None),
        (masked(b'{"action":"subscribe","par', fin=False) + masked(b'ams":"T.A"}', opcode=0), None),
        (masked(json.dumps({"action": "subscribe", "params": [f"T.S{n}" for n in range(1001)]}).encode()), None),
    ],
)
def test_rude_words_end_the_connection_or_are_answered(emit: Emit, said: bytes, code: int | None) -> None:
    with rude(emit.port) as client:
        client.sendall(said)
        answers = []
        for opcode, payload in frames(client):
            if opcode == CLOSE:
                assert int.from_bytes(payload[:2], "big") == code
                return
            answers += json.loads(payload)
            if code is None and len(answers) > 1:
                assert answers[1]["status"] == ("success" if b"T.A" in said else "error")
                return
    raise AssertionError(f"neither an answer nor an end: {answers}")


@pytest.fixture(scope="module")
def emit() -> Iterator[Emit]:
    with Emit(*FAST) as running:
        yield running


def test_over_tls(tmp_path: Path, authority: Authority) -> None:
    chain, key = authority.server_files(tmp_path, "127.0.0.1")
    symbols = [f"S{number}" for number in range(2000)]
    trusting = ssl.create_default_context(cafile=authority.ca_file)
    with Emit(*FAST, "--tls-cert", chain, "--tls-key", key) as emit, emit.client(ssl=trusting) as client:
        client.subscribe("T.*")
        for number in range(10):
            all_get(emit, client, symbols, number)


def test_what_is_served_besides(emit: Emit) -> None:
    page = emit.metrics.__class__(emit.url)
    for path, kind in (("/", "text/html"), ("/market.js", "text/javascript"), ("/icon.svg", "image/svg+xml")):
        answer = page.get(path)
        assert answer.status == 200
        assert answer.fields["content-type"].startswith(kind)
        assert "default-src 'none'" in answer.fields["content-security-policy"]
    assert page.await_answer("/readyz", 200).text == "ok  the source is here\nok  clients are taken\n"
    assert page.get("/healthz").text == "ok\n"
    assert page.get("/metrics").status == 404, "clients are not told"
    assert emit.metrics.get("/ws").status == 404
