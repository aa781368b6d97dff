"""`lb-count` against counting by decoding every record."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import orjson
import pytest
from feeding import framed, run_worker
from hypothesis import given
from hypothesis import strategies as st

from trade_balancer import Record
from trade_balancer.count import Count, event_and_symbol
from trade_balancer.output import LineOutput

COUNT = ["-m", "trade_balancer.count"]

# Records as the feed lays them out, event and key first, and anything else that is an object.
symbols = st.sampled_from(["AAPL", "BRK.B", "BTC-USD", "O:SPXW251208C06840000", "", 'A"B', "A\\", "Ü", "EUR/USD"])
keys = st.sampled_from(["sym", "pair", "T", "p", "s"])
feed_like = st.builds(
    lambda event, key, symbol, more: {"ev": event, key: symbol} | more,
    st.sampled_from(["T", "Q", "A", "AM", "XT", "XQ", "XA", "XL2", "LULD", "C", "lagg", "", "t"]),
    keys,
    symbols,
    st.dictionaries(keys | st.just("ev"), symbols | st.integers(0, 9), max_size=2),
)
any_object = st.dictionaries(
    keys | st.just("ev"), symbols | st.none() | st.integers(-9, 9) | st.lists(st.none()), max_size=4
)


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def counted(worker: Count) -> Counter[tuple[str, str | None]]:
    worker.finish()
    return Counter({key: records for key, records in worker.tally.results.items() if records})


@given(st.lists(st.lists(feed_like | any_object, min_size=1, max_size=20), max_size=4))
def test_any_records_are_counted_as_by_decoding_them(batches: list[list[dict[str, object]]]) -> None:
    worker = Count(LineOutput(None))
    for fd, records in enumerate(batches):
        worker.take([(fd, [orjson.dumps(record) for record in records])])
    expected = Counter(event_and_symbol(record) for records in batches for record in records)
    assert counted(worker) == expected
    assert +worker.tally.events == Counter(event for (event, _) in expected.elements())


def test_the_symbol_of_every_layout_of_the_feed() -> None:
    cases: list[tuple[Record, tuple[str, str | None]]] = [
        ({"ev": "T", "sym": "MSFT", "i": "1", "p": 156.9}, ("T", "MSFT")),
        ({"ev": "AM", "sym": "FCX", "v": 4989}, ("AM", "FCX")),
        ({"ev": "LULD", "h": 3.63, "T": "ATHR"}, ("LULD", "ATHR")),
        ({"ev": "FMV", "fmv": 509.917, "sym": "MSFT"}, ("FMV", "MSFT")),
        ({"ev": "V", "val": 3988.5, "T": "I:SPX"}, ("V", "I:SPX")),
        ({"ev": "C", "p": "EUR/USD", "a": 1.1}, ("C", "EUR/USD")),
        ({"ev": "XL2", "pair": "BTC-USD"}, ("XL2", "BTC-USD")),
        ({"ev": "XT", "pair": "BTC-USD", "p": 1.5, "sym": "X"}, ("XT", "BTC-USD")),
        ({"ev": "lagg"}, ("lagg", None)),
        ({"ev": ["T"], "sym": 7}, ("", None)),
    ]
    for record, expected in cases:
        assert event_and_symbol(record) == expected


FEED = [b'{"ev":"T","sym":"A","p":1}', b'{"ev":"Q","sym":"B"}', b'{"ev":"T","sym":"A"}', b'{"ev":"lagg"}', b"{}"]
FEED_COUNTED = [
    {"ev": "", "symbol": None, "records": 2},
    {"ev": "Q", "symbol": "B", "records": 2},
    {"ev": "T", "symbol": "A", "records": 4},
    {"ev": "lagg", "symbol": None, "records": 2},
]


@pytest.mark.parametrize("processes", [[], ["--processes"]])
def test_the_counts_and_the_summary_of_all_pipes_come_at_the_end(processes: list[str], tmp_path: Path) -> None:
    output, summary = tmp_path / "counts", tmp_path / "summary"
    output.write_text('{"ev":"kept"}\n')
    summary.write_text("replaced")
    arguments = [*COUNT, "--output", str(output), "--summary", str(summary), *processes]
    ended = run_worker(arguments, [framed(FEED), framed(FEED), b""])
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert lines(output.read_text()) == [{"ev": "kept"}, *FEED_COUNTED]
    assert json.loads(summary.read_text()) == {
        "records": 10,
        "bytes": 2 * sum(map(len, FEED)),
        "events": {"": 2, "Q": 2, "T": 4, "lagg": 2},
        "records_per_fd": {str(fd): records for fd, records in zip(ended.fds, (5, 5, 0), strict=True)},
        "unusable": 0,
        "lag_ms": {"p50": None, "p99": None, "max": None},
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counts", "summary"]


@pytest.mark.parametrize("processes", [[], ["--processes"]])
def test_a_truncated_pipe_is_told_with_all_that_came_before_it(processes: list[str], tmp_path: Path) -> None:
    summary = tmp_path / "summary"
    ended = run_worker([*COUNT, "--summary", str(summary), *processes], [framed(FEED), framed(FEED)[:-1]])
    assert ended.code == 65
    assert f"fd {ended.fds[1]}: the pipe ended inside a record: got 1 of 2 bytes\n" in ended.err
    assert json.loads(summary.read_text())["records"] == 9
    assert sum(line["records"] for line in lines(ended.out)) == 9  # type: ignore[misc]


@pytest.mark.parametrize("processes", [[], ["--processes"]])
def test_records_that_are_no_objects_are_told_and_counted_and_take_none_with_them(
    processes: list[str], tmp_path: Path
) -> None:
    summary = tmp_path / "summary"
    bad = [b"{", b'{"x":NaN}', b"[]", b""]
    feed = [*FEED, *bad, *FEED]
    ended = run_worker([*COUNT, "--summary", str(summary), *processes], [framed(feed), framed(FEED)])
    assert ended.code == 0
    for record in bad:
        assert f"fd {ended.fds[0]}: record of {len(record)} bytes is " in ended.err
    assert ended.err.endswith("count.py: 4 of 19 records were unusable\n")
    assert [line | {"records": 0} for line in lines(ended.out)] == [line | {"records": 0} for line in FEED_COUNTED]
    assert sum(line["records"] for line in lines(ended.out)) == 15  # type: ignore[misc]
    totals = json.loads(summary.read_text())
    assert (totals["records"], totals["unusable"]) == (19, 4)


def test_output_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    missing, directory = tmp_path / "missing" / "file", tmp_path / "directory"
    directory.mkdir()
    for arguments, told in [
        (["--output", "/dev/full"], "cannot write to /dev/full: No space left on device"),
        (["--output", str(missing)], f"cannot write to {missing}: No such file or directory"),
        (["--summary", str(missing)], f"cannot write to {missing}: No such file or directory"),
        (["--summary", str(directory)], f"cannot write to {directory}: Is a directory"),
    ]:
        ended = run_worker([*COUNT, *arguments], [framed(FEED)])
        assert (ended.code, ended.err) == (74, f"count.py: {told}\n")
    assert list(tmp_path.iterdir()) == [directory]


def test_a_standard_output_that_nobody_reads_is_an_error() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    ended = run_worker(COUNT, [framed(FEED)], stdout=write_end)
    os.close(write_end)
    assert (ended.code, ended.err) == (74, "count.py: cannot write to standard output: Broken pipe\n")


def test_the_command_line_is_explained_and_checked() -> None:
    told = run_worker([*COUNT, "--help"], [])
    assert told.code == 0
    for word in ("--output", "--summary", "--processes", "FD", "ms", "bytes", "default", "exit codes"):
        assert word in told.out
    for arguments, word in [
        ([], "FDs are wanted, or --attach"),
        (["--attach", "/none", "0"], "FDs are wanted, or --attach"),
        (["--topics", "T.A", "0"], "--topics is for --attach"),
        (["x"], "invalid int value: 'x'"),
        (["99999"], "fd 99999: not an open"),
    ]:
        refused = run_worker([*COUNT, *arguments], [])
        assert refused.code == 64
        assert word in refused.err
