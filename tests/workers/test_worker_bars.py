"""`lb-bars` against a reference that sorts nothing, keeps everything and looks at one trade at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import orjson
import pytest
from feeding import Finished, framed, run_worker, start_worker
from hypothesis import given
from hypothesis import strategies as st

from trade_balancer.bars import DEFAULT, BarOutput, Bars, Settings
from trade_balancer.columnar.bars import Update
from trade_balancer.conditions import MAY_UPDATE

BARS = ["-m", "trade_balancer.bars"]
START_MS = 1_781_622_376_000
VOLUME_UNITS = 10**19


@dataclass
class Expected:
    """A bar, as one reads the rules: its trades' prices and sizes, in the order in which they count."""

    opened_ms: int = 0
    closed_ms: int = 0
    open: float | None = None
    close: float | None = None
    extremes: list[float] = field(default_factory=list)
    volumes: list[tuple[Fraction, Fraction]] = field(default_factory=list)

    def line(self, symbol: str, start_ms: int) -> dict[str, Any]:
        volume = sum((size for _, size in self.volumes), Fraction())
        turnover = sum((price * size for price, size in self.volumes), Fraction())
        return {
            "sym": symbol, "t": start_ms, "o": self.open, "c": self.close, "n": len(self.volumes),
            "h": max(self.extremes, default=None), "l": min(self.extremes, default=None), "v": volume,
            "vw": pytest.approx(float(turnover / volume), rel=1e-12) if volume else None,
        }  # fmt: skip


def reference(records: Iterable[dict[str, Any]], settings: Settings = DEFAULT) -> tuple[list[dict[str, Any]], int]:
    """The bars in no particular order, as they are in the end, and how many trades were late."""
    bars: dict[tuple[str, int], Expected] = {}
    intervals: dict[str, list[int]] = {}
    late = 0
    for record in records:
        if record["ev"] not in ("T", "XT"):
            continue
        symbol = record["sym"] if record["ev"] == "T" else record["pair"]
        may = Update.ALL
        if settings.conditions and record["ev"] == "T":
            for condition in record.get("c", ()):
                may &= MAY_UPDATE.get(condition, Update.ALL)
        if not may:
            continue
        interval = record["t"] // settings.interval_ms
        seen = intervals.setdefault(symbol, [])
        if seen and interval < seen[-1] and interval not in seen[:-1][-settings.history or len(seen) :]:
            late += 1
            continue
        if not seen or interval > seen[-1]:
            seen.append(interval)
        add(bars.setdefault((symbol, interval), Expected()), record, may, is_late=interval < seen[-1])
    return [bar.line(symbol, interval * settings.interval_ms) for (symbol, interval), bar in bars.items()], late


def add(bar: Expected, record: dict[str, Any], may: Update, is_late: bool) -> None:
    price, size = record["p"], Fraction(str(record["ds"] if "ds" in record else record["s"]))
    if Update.OPEN_CLOSE in may:
        if bar.open is None or (is_late and record["t"] < bar.opened_ms):
            bar.open, bar.opened_ms = price, record["t"]
        if bar.close is None or not is_late or record["t"] >= bar.closed_ms:
            bar.close, bar.closed_ms = price, record["t"]
    if Update.HIGH_LOW in may:
        bar.extremes.append(price)
    if Update.VOLUME in may:
        bar.volumes.append((Fraction(str(price)), Fraction(int(size * VOLUME_UNITS), VOLUME_UNITS)))


def made(
    directory: Path, rounds: Iterable[Sequence[Sequence[dict[str, Any]]]], settings: Settings = DEFAULT
) -> tuple[list[dict[str, Any]], Bars]:
    """What lb-bars writes for rounds of records of several pipes, the last revision of each bar; and the worker."""
    path = directory / "bars"
    path.unlink(missing_ok=True)
    with BarOutput(path, settings) as output:
        worker = Bars(output)
        for pipes in rounds:
            batches = [
                batch
                for fd, records in enumerate(pipes)
                for batch in worker.decoder.decode([framed(list(map(orjson.dumps, records)))], fd)
            ]
            worker.take(batches)
        worker.finish()
    last: dict[tuple[str, int], dict[str, Any]] = {}
    for line in path.read_text().splitlines():
        bar = json.loads(line) | {"v": json.loads(line, parse_float=Fraction)["v"]}
        assert bar.pop("rev", 0) == (last[bar["sym"], bar["t"]]["rev"] + 1 if (bar["sym"], bar["t"]) in last else 0)
        last[bar["sym"], bar["t"]] = bar | {"rev": last.get((bar["sym"], bar["t"]), {"rev": -1})["rev"] + 1}
    return [{name: value for name, value in bar.items() if name != "rev"} for bar in last.values()], worker


def in_order(bars: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(bars, key=lambda bar: (bar["sym"], bar["t"]))


prices = st.integers(1, 50) | st.floats(0.0001, 5000) | st.decimals("0.0001", 5000, places=4).map(float)
sizes = st.one_of(
    st.fixed_dictionaries({"s": st.integers(0, 500) | st.floats(0, 1) | st.floats(0, 1e12)}),
    st.fixed_dictionaries({"s": st.just(0), "ds": st.sampled_from(["40.0", "0.740474", "12", "0.1", "0.2", "1e3"])}),
    st.fixed_dictionaries(
        {"ds": st.sampled_from(["0.000045", "1000000.5", "0.0000000000000000001", "922337203685477580"])}
    ),
)
times = st.integers(0, 4000).map(lambda ms: START_MS + ms)
conditions = st.just({}) | st.lists(st.sampled_from([14, 37, 12, 5, 32, 15, 38, 2, 41, 999]), max_size=3).map(
    lambda numbers: {"c": numbers}
)
stock_trades = st.builds(
    lambda symbol, p, t, size, c: {"ev": "T", "sym": symbol, "p": p, "t": t} | size | c,
    st.sampled_from(["AAPL", "BRK.B", "NTEST.Q"]), prices, times, sizes, conditions,
)  # fmt: skip
crypto_trades = st.builds(
    lambda pair, p, t, s: {"ev": "XT", "pair": pair, "p": p, "t": t, "s": s},
    st.sampled_from(["BTC-USD", "ETH-USD"]), prices, times, st.integers(0, 500) | st.floats(0, 1),
)  # fmt: skip
others = st.sampled_from([{"ev": "Q", "sym": "AAPL", "bp": 1.0, "t": START_MS}, {"ev": "lagg"}])


all_settings = st.builds(
    Settings,
    interval_ms=st.sampled_from([1000, 2000]),
    history=st.sampled_from([0, 1, 2, 8]),
    conditions=st.booleans(),
)


@given(st.lists(st.lists(stock_trades | crypto_trades | others, min_size=1), max_size=5), all_settings)
def test_any_trades_make_the_bars_of_the_reference(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[dict[str, Any]]], settings: Settings
) -> None:
    written, worker = made(tmp_path_factory.getbasetemp(), [[batch] for batch in batches], settings)
    bars, late = reference((record for records in batches for record in records), settings)
    assert in_order(written) == in_order(bars)
    assert worker.tally.results["late"] == late
    assert worker.tally.results["bars"] == len(bars)
    assert worker.tally.unusable == 0


@given(st.lists(stock_trades | crypto_trades, min_size=1), st.integers(1, 4))
def test_what_was_dealt_to_several_pipes_and_read_at_once_makes_the_bars_of_the_feed(
    tmp_path_factory: pytest.TempPathFactory, trades: list[dict[str, Any]], pipes: int
) -> None:
    """In a feed in order, where no two trades are of the same ms, so that the order of all pipes is known."""
    feed = [trade | {"t": START_MS + 137 * number} for number, trade in enumerate(trades)]
    written, worker = made(tmp_path_factory.getbasetemp(), [[feed[pipe::pipes] for pipe in range(pipes)]])
    assert in_order(written) == in_order(reference(feed)[0])
    assert worker.tally.results["late"] == 0


def test_a_round_without_trades_makes_no_bars(tmp_path: Path) -> None:
    quote = {"ev": "Q", "sym": "AAPL", "bp": 1.0, "t": START_MS}
    assert made(tmp_path, [[[quote], [quote]], [[quote], []]])[0] == []


def trade(second: int, price: float, symbol: str = "AAPL", **more: object) -> bytes:
    return orjson.dumps({"ev": "T", "sym": symbol, "p": price, "s": 10, "t": START_MS + 1000 * second} | more)


def test_a_bar_is_written_when_a_later_second_of_its_symbol_begins() -> None:
    read_end, write_end = os.pipe()
    worker = start_worker(BARS, [read_end])
    os.close(read_end)
    assert worker.stdout is not None
    os.write(write_end, framed([trade(0, 5.5), trade(0, 7), trade(0, 1, "MSFT"), trade(1, 6)]))
    bar = json.loads(worker.stdout.readline())  # the pipe is still open
    assert bar == {"sym": "AAPL", "t": START_MS, "o": 5.5, "h": 7.0, "l": 5.5, "c": 7.0, "v": 20.0, "n": 2, "vw": 6.25}
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
    assert ended.err.startswith(f"bars.py: fd {ended.fds[0]}: record of 40 bytes is not a JSON object: ")
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


def lines(ended: Finished) -> list[dict[str, Any]]:
    assert (ended.code, ended.err) == (0, "")
    return [json.loads(line) for line in ended.out.splitlines()]


def test_a_late_trade_corrects_its_bar_and_takes_its_place_by_time() -> None:
    feed = [trade(0, 5, t=START_MS + 300), trade(0, 6, t=START_MS + 600), trade(1, 7)]
    late = [trade(0, 4, t=START_MS + 100), trade(0, 9, t=START_MS + 400), trade(0, 8, t=START_MS + 900)]
    bars = lines(run_worker([*BARS, "--late", "correct"], [framed(feed + late)]))
    assert [(bar["o"], bar["h"], bar["l"], bar["c"], bar["n"], bar.get("rev")) for bar in bars] == [
        (5, 6, 5, 6, 2, None), (4, 9, 4, 8, 5, 1), (7, 7, 7, 7, 1, None),
    ]  # fmt: skip


def test_conditions_decide_what_a_trade_updates() -> None:
    feed = [
        trade(0, 99, c=[37]),  # an odd lot: volume alone
        trade(0, 5), trade(0, 6), trade(0, 3, c=[14, 32]),  # sold out of sequence: high and low, too
        trade(0, 50, c=[15]),  # an official close is no trade
        trade(1, 7, c=[12]),  # extended hours
    ]  # fmt: skip
    regular, extended = lines(run_worker([*BARS, "--conditions"], [framed(feed)]))
    assert {name: regular[name] for name in "ohlcvn"} == {"o": 5, "h": 6, "l": 3, "c": 6, "v": 40, "n": 4}
    assert {name: extended[name] for name in "ohlcvn"} == dict.fromkeys("ohlc") | {"v": 10, "n": 1}
    assert extended["vw"] == 7


@pytest.mark.parametrize(
    ("interval", "zone", "times", "starts"),
    [
        ("1m", "UTC", ["2026-06-16T15:06:59", "2026-06-16T15:07:00"], ["2026-06-16T15:06", "2026-06-16T15:07"]),
        ("1d", "UTC", ["2026-06-16T23:59:59", "2026-06-17T00:00"], ["2026-06-16T00:00", "2026-06-17T00:00"]),
        # New York: after hours of a winter's day end at 01:00 UTC of the next
        ("1d", "America/New_York", ["2026-01-15T14:30", "2026-01-16T00:59", "2026-01-16T09:00"],
         ["2026-01-15T05:00", "2026-01-16T05:00"]),
        # the days on which its clocks change
        ("1d", "America/New_York", ["2026-03-08T05:00", "2026-03-09T03:59", "2026-03-09T04:00"],
         ["2026-03-08T05:00", "2026-03-09T04:00"]),
        ("4h", "America/New_York", ["2026-11-01T03:59", "2026-11-01T04:00", "2026-11-01T08:59", "2026-11-01T09:00"],
         ["2026-11-01T00:00", "2026-11-01T04:00", "2026-11-01T09:00"]),
        ("4h", "America/New_York", ["2026-03-08T06:30", "2026-03-08T08:30"], ["2026-03-08T05:00", "2026-03-08T08:00"]),
        # a day that began at one o'clock
        ("1d", "America/Sao_Paulo", ["2018-11-04T02:59", "2018-11-04T05:00"], ["2018-11-03T03:00", "2018-11-04T03:00"]),
        # an hour that is there twice is two hours
        ("1h", "America/New_York", ["2026-11-01T05:30", "2026-11-01T06:30"], ["2026-11-01T05:00", "2026-11-01T06:00"]),
    ],
)  # fmt: skip
def test_intervals_begin_where_they_should(interval: str, zone: str, times: list[str], starts: list[str]) -> None:
    def ms(text: str) -> int:
        return round(datetime.fromisoformat(text + "+00:00").timestamp() * 1000)

    feed = framed([trade(0, 1, t=ms(time)) for time in times])
    bars = lines(run_worker([*BARS, "--interval", interval, "--zone", zone], [feed]))
    assert [bar["t"] for bar in bars] == [ms(start) for start in starts]


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (["--interval", "7s"], "'7s' is not a part of a day"),
        (["--interval", "2d"], "'2d' is not a part of a day"),
        (["--interval", "0s"], "'0s' is not a part of a day"),
        (["--zone", "New/Amsterdam"], "no time zone 'New/Amsterdam' here"),
        (["--late", "never"], "invalid choice: 'never'"),
    ],
)
def test_what_is_asked_for_wrongly_is_told(option: list[str], told: str) -> None:
    ended = run_worker([*BARS, *option], [b""])
    assert ended.code == 64
    assert told in ended.err


def test_the_symbols_of_a_whole_market_have_bars_of_their_own() -> None:
    symbols = [f"O:{number:X}" for number in range(20_000)]
    feed = [trade(second, 1, symbol) for second in (0, 1) for symbol in symbols]
    bars = lines(run_worker([*BARS, "--late", "correct"], [framed(feed)]))
    assert {(bar["sym"], bar["t"]) for bar in bars} == {
        (symbol, START_MS + ms) for symbol in symbols for ms in (0, 1000)
    }
    assert len(bars) == 40_000


def test_what_is_open_at_the_end_is_written_by_time_and_symbol() -> None:
    feed = [trade(second, 1, symbol) for second, symbol in [(1, "B"), (1, "AB"), (0, "C"), (1, "A"), (0, "AA")]]
    bars = lines(run_worker(BARS, [framed(feed)]))
    assert [(bar["t"] - START_MS, bar["sym"]) for bar in bars] == [
        (0, "AA"), (0, "C"), (1000, "A"), (1000, "AB"), (1000, "B"),
    ]  # fmt: skip


@pytest.mark.parametrize("symbol", ['A"\\\n\x1f/\x7f', "\u00e9\u20ac\U0001f4b0", "", "S" * 10_000])
def test_any_symbol_makes_a_line(symbol: str) -> None:
    bars = lines(run_worker(BARS, [framed([trade(0, 1, symbol), trade(0, 1, "Z"), trade(0, 1, "B")])]))
    assert {bar["sym"] for bar in bars} == {symbol, "Z", "B"}


@pytest.mark.parametrize(
    "price", [0, 5e-324, 2.5e-7, 0.1 + 0.2, 297.845, 123456789012345.6, 2.0**53, 1e22, 1e308, -0.01]
)
def test_a_price_is_written_as_it_was(price: float) -> None:
    (bar,) = lines(run_worker(BARS, [framed([trade(0, price)])]))
    assert [bar[name] for name in "ohlc"] == [price] * 4


def test_a_trade_that_no_bar_can_hold_is_counted(tmp_path: Path) -> None:
    summary = tmp_path / "summary"
    feed = [trade(0, 1, s=10**19), trade(0, 1, s=10**19), trade(0, 1, s=1e300), trade(0, 1, t=10**18)]
    ended = run_worker([*BARS, "--summary", str(summary)], [framed(feed)])
    assert [json.loads(line)["n"] for line in ended.out.splitlines()] == [1]
    assert json.loads(summary.read_text())["unusable"] == 3
