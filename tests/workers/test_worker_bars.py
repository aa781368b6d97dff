"""`lb-bars` against a reference that sorts nothing, keeps everything and looks at one trade at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest
from feeding import framed, run_worker, start_worker
from hypothesis import given
from hypothesis import strategies as st

from trade_balancer.bars import Bars
from trade_balancer.output import LineOutput

BARS = ["-m", "trade_balancer.bars"]
START_MS = 1_781_622_376_000


def reference(records: Iterable[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """The bars in no particular order, and how many trades were late."""
    trades_of: dict[tuple[str, int], list[tuple[float, float]]] = {}
    newest: dict[str, int] = {}
    late = 0
    for record in records:
        if record["ev"] not in ("T", "XT"):
            continue
        symbol = record["sym"] if record["ev"] == "T" else record["pair"]
        second = record["t"] // 1000
        if second < newest.get(symbol, second):
            late += 1
            continue
        newest[symbol] = second
        size = float(record["ds"]) if "ds" in record else record["s"]
        trades_of.setdefault((symbol, second), []).append((record["p"], size))
    bars = []
    for (symbol, second), trades in trades_of.items():
        prices, sizes = zip(*trades, strict=True)
        bars.append(
            {"sym": symbol, "t": second * 1000, "o": prices[0], "h": max(prices), "l": min(prices), "c": prices[-1]}
            | {"v": pytest.approx(sum(sizes)), "n": len(trades)}
        )
    return bars, late


def in_order(bars: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(bars, key=lambda bar: (bar["sym"], bar["t"]))


prices = st.integers(1, 50) | st.floats(0.0001, 5000)
sizes = st.one_of(
    st.fixed_dictionaries({"s": st.integers(0, 500) | st.floats(0, 1)}),
    st.fixed_dictionaries({"s": st.just(0), "ds": st.sampled_from(["40.0", "0.740474", "12"])}),
    st.fixed_dictionaries({"ds": st.sampled_from(["0.000045", "1000000.5"])}),
)
times = st.integers(0, 4000).map(lambda ms: START_MS + ms)
stock_trades = st.builds(
    lambda symbol, p, t, size: {"ev": "T", "sym": symbol, "p": p, "t": t} | size,
    st.sampled_from(["AAPL", "BRK.B", "NTEST.Q"]), prices, times, sizes,
)  # fmt: skip
crypto_trades = st.builds(
    lambda pair, p, t, size: {"ev": "XT", "pair": pair, "p": p, "t": t} | size,
    st.sampled_from(["BTC-USD", "ETH-USD"]), prices, times, sizes,
)  # fmt: skip
others = st.sampled_from([{"ev": "Q", "sym": "AAPL", "bp": 1.0, "t": START_MS}, {"ev": "lagg"}])


@given(st.lists(st.lists(stock_trades | crypto_trades | others, min_size=1), max_size=5))
def test_any_trades_make_the_bars_of_the_reference(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[dict[str, Any]]]
) -> None:
    path = tmp_path_factory.mktemp("bars") / "bars"
    with LineOutput(path) as output:
        worker = Bars(output)
        for records in batches:
            worker.take([(3, [orjson.dumps(record) for record in records])])
        worker.finish()
    written = [json.loads(line) for line in path.read_text().splitlines()]
    bars, late = reference(record for records in batches for record in records)
    assert in_order(written) == in_order(bars)
    assert worker.tally.results["late"] == late
    assert worker.tally.results["bars"] == len(bars)
    assert worker.tally.unusable == 0
    assert worker.tally.events.total() == sum(map(len, batches))


@given(st.lists(stock_trades | crypto_trades, min_size=1), st.integers(1, 4))
def test_what_was_dealt_to_several_pipes_and_read_at_once_makes_the_bars_of_the_feed(
    tmp_path_factory: pytest.TempPathFactory, trades: list[dict[str, Any]], pipes: int
) -> None:
    """In a feed in order, where no two trades are of the same ms, so that the order of all pipes is known."""
    feed = [trade | {"t": START_MS + 137 * number} for number, trade in enumerate(trades)]
    path = tmp_path_factory.mktemp("bars") / "bars"
    dealt = [[orjson.dumps(trade) for trade in feed[pipe::pipes]] for pipe in range(pipes)]
    with LineOutput(path) as output:
        worker = Bars(output)
        worker.take([(fd, records) for fd, records in enumerate(dealt) if records])
        worker.finish()
    assert in_order(json.loads(line) for line in path.read_text().splitlines()) == in_order(reference(feed)[0])
    assert worker.tally.results["late"] == 0


def trade(second: int, price: float, symbol: str = "AAPL", **more: object) -> bytes:
    return orjson.dumps({"ev": "T", "sym": symbol, "p": price, "s": 10, "t": START_MS + 1000 * second} | more)


def test_a_bar_is_written_when_a_later_second_of_its_symbol_begins() -> None:
    read_end, write_end = os.pipe()
    worker = start_worker(BARS, [read_end])
    os.close(read_end)
    assert worker.stdout is not None
    os.write(write_end, framed([trade(0, 5.5), trade(0, 7), trade(0, 1, "MSFT"), trade(1, 6)]))
    bar = json.loads(worker.stdout.readline())  # the pipe is still open
    assert bar == {"sym": "AAPL", "t": START_MS, "o": 5.5, "h": 7.0, "l": 5.5, "c": 7.0, "v": 20.0, "n": 2}
    os.close(write_end)
    rest, err = worker.communicate()
    assert [(json.loads(line)["sym"], json.loads(line)["t"]) for line in rest.splitlines()] == [
        ("MSFT", START_MS),
        ("AAPL", START_MS + 1000),
    ]
    assert (worker.returncode, err) == (0, "")


@pytest.mark.parametrize("processes", [[], ["--processes"]])
def test_late_and_unusable_trades_are_counted_in_the_summary(processes: list[str], tmp_path: Path) -> None:
    summary = tmp_path / "summary"
    feed = [
        trade(0, 1), trade(2, 2), trade(0, 3), trade(1, 4),
        b'{"ev":"T","sym":"X","s":1,"t":1}', b'{"ev":"T","sym":"X","p":1,"t":1}', b'{"ev":"T","sym":"X","p":1,"s":1}',
        b'{"ev":"T","p":1,"s":1,"t":1}', b'{"ev":"T","sym":7,"p":1,"s":1,"t":1}',
        b'{"ev":"T","sym":[],"p":1,"s":1,"t":1}',
        b'{"ev":"XT","sym":"X","p":1,"s":1,"t":1}', b'{"ev":"T","sym":"X","p":[1],"s":1,"t":1}',
        b'{"ev":"T","sym":"X","p":1,"ds":"many","s":1,"t":1}', b'{"ev":"T","sym":"X","p":NaN,"s":1,"t":1}',
        b'{"ev":["T"]}', b"{}", trade(2, 5),
    ]  # fmt: skip
    ended = run_worker([*BARS, "--summary", str(summary), *processes], [framed(feed), b""])
    assert ended.code == 0
    assert ended.err.startswith(f"bars.py: fd {ended.fds[0]}: record of 40 bytes is not JSON (")
    assert ended.err.endswith(f"bars.py: 10 of {len(feed)} records were unusable\n")
    totals = json.loads(summary.read_text())
    assert [json.loads(line)["n"] for line in ended.out.splitlines()] == [1, 2]
    assert (totals["bars"], totals["late"], totals["unusable"], totals["records"]) == (2, 2, 10, len(feed))
    assert totals["events"] == {"": 2, "T": 13, "XT": 1}


@pytest.mark.parametrize("processes", [[], ["--processes"]])
def test_a_truncated_pipe_loses_no_bar_before_its_end(processes: list[str]) -> None:
    ended = run_worker([*BARS, *processes], [framed([trade(0, 1), trade(1, 2), trade(2, 3)]) + b"\x05\0\0\0{"])
    assert ended.code == 65
    assert ended.err.startswith(f"bars.py: fd {ended.fds[0]}: ")
    assert [json.loads(line)["o"] for line in ended.out.splitlines()] == [1.0, 2.0, 3.0]


def test_lines_of_many_processes_on_one_pipe_stay_whole() -> None:
    seconds, pipes = 2000, 4
    streams = [framed([trade(second, 1, f"S{pipe}") for second in range(seconds)]) for pipe in range(pipes)]
    ended = run_worker([*BARS, "--processes"], streams)
    assert (ended.code, ended.err) == (0, "")
    assert len({(bar["sym"], bar["t"]) for bar in map(json.loads, ended.out.splitlines())}) == seconds * pipes


@pytest.mark.parametrize("processes", [[], ["--processes"]])
def test_a_closed_standard_output_is_an_error_even_if_its_number_would_be_used_again(processes: list[str]) -> None:
    closes_it = "import os, sys; os.close(1); from trade_balancer.bars import main; sys.exit(main())"
    ended = run_worker(["-c", closes_it, *processes], [framed([trade(0, 1), trade(1, 1)])])
    assert (ended.code, ended.err) == (74, "-c: cannot write to standard output: Bad file descriptor\n")


def test_a_full_disk_ends_all_processes_and_the_worker() -> None:
    pipes = [os.pipe() for _ in range(2)]
    worker = start_worker([*BARS, "--output", "/dev/full", "--processes"], [read_end for read_end, _ in pipes])
    for read_end, write_end in pipes:
        os.close(read_end)
        os.write(write_end, framed([trade(0, 1), trade(1, 1)]))
    _, err = worker.communicate()  # the pipes have not ended
    for _, write_end in pipes:
        os.close(write_end)
    assert worker.returncode == 74
    assert "bars.py: cannot write to /dev/full: No space left on device\n" in err
