"""What `lb-books --metrics` serves, beside venues that a test steers."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from harness.served import Answer, Samples
from steered import Program, Venue, lb_books
from wire import binance_difference, binance_snapshot

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
UNIT = 10**8
BIDS, ASKS = [(100_00, UNIT)], [(101_00, UNIT)]


async def answer(program: Program, path: str, status: int, text: str = "") -> Answer:
    return await asyncio.to_thread(program.metrics.await_answer, path, status, text)


async def metric(program: Program, name: str, value: float, **labels: str) -> Samples:
    """All of them, as soon as this one is so."""
    return await asyncio.to_thread(partial(program.metrics.await_metric, f"lb_books_{name}", value, **labels))


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"lb_books_{name}", frozenset(labels.items())]


def test_what_happens_is_counted_and_readiness_is_that_of_one_venue(prometheus_folder: Path) -> None:
    async def scene() -> str:
        async with Venue("binance") as venue, Venue("bitstamp") as other:
            venue.snapshot = binance_snapshot(10, BIDS, ASKS)
            words = (*venue.options, *other.options, "--full", "--metrics", "127.0.0.1:0")
            async with lb_books(*words) as program, program.watching("BTC-USDT") as client:
                for name in ("binance", "bitstamp"):
                    await metric(program, "session_open", 1, venue=name)
                await venue.has("btcusdt@depth@100ms")
                await venue.say(binance_difference(10, 11, [(100_00, 3 * UNIT)], []))
                await client.until(lambda summary: bool(summary.bids))
                samples = await metric(program, "books", 1, venue="binance", state="live")
                assert value(samples, "books", venue="bitstamp", state="syncing") == 1
                assert value(samples, "messages_total", venue="binance") == 1
                assert value(samples, "messages_total", venue="bitstamp") == 0
                assert value(samples, "rest_requests_total", venue="binance") == 2
                assert value(samples, "rest_weight_total", venue="binance") == 20 + 250
                assert value(samples, "streams") == 1
                assert value(samples, "symbols_watched") == 1
                assert value(samples, "symbols_known", venue="binance") == 3
                assert value(samples, "faults_total", venue="binance", reason="gap") == 0
                await venue.say(binance_difference(12, 12, [(100_00, 4 * UNIT)], []))
                await client.until(lambda summary: summary.bids[0].size == 4 * UNIT)
                sent, merged = len(client.sequences), client.sequences[-1]
                samples = await metric(program, "summaries_sent_total", sent)
                assert value(samples, "summaries_merged_total") == merged
                assert value(samples, "summaries_skipped_total") == merged - sent
                assert 1 <= value(samples, "latency_seconds_count") <= merged
                await venue.say(binance_difference(40, 41, [(97_00, UNIT)], []))
                await metric(program, "faults_total", 1, venue="binance", reason="gap")
                assert value(samples, "exchange_latency_seconds_count", venue="bitstamp") == 0
                assert (await answer(program, "/healthz", 200)).text == "ok\n"
                await other.die()
                said = await answer(program, "/readyz", 200, "NOT bitstamp has a session")
                assert "ok  binance has a session, and its symbols are known" in said.text
                await venue.die()
                await answer(program, "/readyz", 503, "NOT binance has a session")
                assert (await answer(program, "/", 404)).text == "there is /metrics, /healthz, /readyz\n"
                return (await answer(program, "/metrics", 200)).text

    text = asyncio.run(scene())
    done = subprocess.run(
        [prometheus_folder / "promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    names = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    told = set(re.findall(r"`(lb_books_[a-z_]+|process_[a-z_]+)`", (ROOT / "docs" / "metrics.md").read_text()))
    assert {name for name in names if name not in told} == set()
    rules = re.findall(r"expr: (.*)", (ROOT / "contrib" / "prometheus" / "lb-books-alerts.yml").read_text())
    used = set(re.findall(r"\b(lb_books_[a-z_]+?)(?:_bucket)?[\[{ )]", "\n".join(rules)))
    assert used - names == set()


@pytest.mark.parametrize("place", ["9826", "127.0.0.1:99999", "192.0.2.1:0"])
def test_an_address_that_is_none_is_told_in_a_sentence(place: str) -> None:
    command = [sys.executable, "-m", "trade_balancer.books.program", "--venue", "binance", "--metrics", place]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, place in done.stderr, "Traceback" in done.stderr) == (64, True, False)
