"""scripts/bench --quick: does the benchmark run, and does its check catch a candidate whose output is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "scripts" / "bench.d"

pytestmark = [
    pytest.mark.skipif(
        not (shutil.which("cc") and Path("/usr/include/openssl/ssl.h").exists()),
        reason="the benchmark's programs need a C compiler and OpenSSL's headers",
    ),
    pytest.mark.timeout(400),  # half a minute on a machine of one's own
]

DEALS_ONE_TRADE_TWICE = f"""
import sys
sys.path.insert(0, {str(BENCH / "clients")!r})
import websocket
from dealing import SUBSCRIBE, from_command_line

dealer = from_command_line()
feed = websocket.create_connection(dealer.url)
for answer in (dealer.auth, SUBSCRIBE, None):
    feed.recv()
    if answer:
        feed.send(answer)
first = feed.recv()
dealer.deal(first)
feed.recv()
dealer.deal(first)
while message := feed.recv():
    dealer.deal(message)
"""
"""A client that writes as many bytes as it must, but the second frame's place holds the first frame's records."""


def bench(output: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", "--quick", "--output", str(output), *words]
    return subprocess.run(command, cwd=BENCH, capture_output=True, text=True, check=False)


def test_quick_checks_and_measures_lb_beside_the_c_candidates(tmp_path: Path) -> None:
    candidates = ["limit", "one-write-per-record", "tls-limit", "lb", "lb-symbol", "lb-wss"]
    parts = "throughput,latency,single"  # the others have their tests below
    result = bench(tmp_path, "--parts", parts, "--candidates", ",".join(candidates))
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((tmp_path / "bench.json").read_text())
    measured = {trial["candidate"] for place in report["throughput"] for trial in place["trials"]}
    assert measured == set(candidates)
    assert {trial["candidate"] for place in report["latency"] for trial in place["trials"]} == {
        "lb",
        "one-write-per-record",
    }
    assert report["failures"] == []
    summary = json.loads((tmp_path / "summary.json").read_text())
    over_ws = {candidate for candidate in candidates if candidate not in ("tls-limit", "lb-wss")}
    assert {row["candidate"] for row in summary["throughput"]} == over_ws
    assert {row["candidate"] for row in summary["latency"]} == {"lb", "one-write-per-record"}
    assert "figures to reach" in result.stdout


def test_quick_measures_the_workers(tmp_path: Path) -> None:
    result = bench(tmp_path, "--parts", "workers", "--seconds", "0.02")
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((tmp_path / "bench.json").read_text())
    (rows,) = report["workers"].values()
    assert {"batches of bytes", "dicts", "orjson.loads, in memory", "lb-count", "lb-bars"} <= rows.keys()
    assert all(trial["records"] and trial["cpu_s"] for trials in rows.values() for trial in trials)
    assert report["machine"]["cpu"] in result.stdout
    assert [figure["met"] is not None for figure in report["figures"]] == [True] * len(report["figures"])


def test_quick_measures_what_faults_and_upgrades_cost(tmp_path: Path) -> None:
    result = bench(tmp_path, "--parts", "faults,upgrade")
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((tmp_path / "bench.json").read_text())
    assert report["failures"] == []
    assert all(value > 0 for value in report["faults"]["worker killed to its successor's start, median of 50"])
    assert {figure["what"] for figure in report["figures"]} >= report["faults"].keys() | report["upgrade"].keys()
    assert len(report["upgrade"]) >= 3


def test_a_peer_that_writes_wrong_records_is_named_and_not_measured(tmp_path: Path) -> None:
    script = tmp_path / "peer.py"
    script.write_text(DEALS_ONE_TRADE_TWICE)
    only = ["--parts", "throughput", "--candidates", "limit", "--batches", "20"]
    result = bench(tmp_path, "--peer", f"{sys.executable} {script}", *only)
    assert result.returncode == 1
    assert "FAILED  peer:" in result.stderr
    report = json.loads((tmp_path / "bench.json").read_text())
    assert {trial["candidate"] for place in report["throughput"] for trial in place["trials"]} == {"limit"}


def test_an_unknown_candidate_is_named_with_the_known_ones(tmp_path: Path) -> None:
    result = bench(tmp_path, "--candidates", "nobody")
    assert result.returncode == 1
    assert "no candidate 'nobody'; there are limit, one-write-per-record" in result.stderr


def test_quick_measures_what_readers_cost(tmp_path: Path) -> None:
    result = bench(tmp_path, "--parts", "attach")
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((tmp_path / "bench.json").read_text())
    assert all(value > 0 for value in report["attach"]["attach to first record at 10k records/s"])
    assert {figure["what"] for figure in report["figures"]} >= report["attach"].keys()


def test_quick_measures_what_order_books_cost(tmp_path: Path) -> None:
    result = bench(tmp_path, "--parts", "books")
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((tmp_path / "bench.json").read_text())
    assert report["failures"] == []
    assert {figure["what"] for figure in report["figures"]} >= report["books"].keys()
    assert all(value > 0 for value in report["books"]["... CPU of lb-books and its lb, of a core"])


def test_quick_measures_what_transactions_cost(tmp_path: Path) -> None:
    result = bench(tmp_path, "--parts", "ledger")
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((tmp_path / "bench.json").read_text())
    assert report["failures"] == []
    assert {figure["what"] for figure in report["figures"]} == report["ledger"].keys()
