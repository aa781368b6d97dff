"""`lb-parquet`: every record in a file that is whole, exactly as it came, or told as lost."""

from __future__ import annotations

import fcntl
import json
import os
import random
import resource
import signal
import sys
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from event_forge import OTHERS, T_MS, records_of_all_events
from feeding import framed, pipes_with, ready_worker, run_worker, start_worker
from harness import Lb, lb_environment, replay
from harness.fixtures import opening_second
from pyarrow import parquet

from trade_balancer.columnar.decoder import Decoder
from trade_balancer.columnar.events import EVENTS, Kind
from trade_balancer.line_files import Rotation
from trade_balancer.parquet_files import NO_DATE, ParquetFiles, column_names, is_exact
from trade_balancer.part_files import PART, FileNames, PartFile, remove_left_over
from trade_balancer.zones import Zone

pytestmark = pytest.mark.slow

__all__ = ["opening_second"]

PARQUET = ["-m", "trade_balancer.parquet"]
DAY_MS = 86_400_000


def trade(number: int, time_ms: int = T_MS) -> bytes:
    return b'{"ev":"T","sym":"S%d","i":"%d","x":4,"p":10.%02d,"s":3,"t":%d,"z":3}' % (
        number % 1500, number, number % 100, time_ms,
    )  # fmt: skip


def plain(event: str, record: bytes) -> tuple[Any, ...]:
    """The row that Python's json, sharing no line with what is tested, makes of a record."""
    members = json.loads(record, parse_float=Decimal)
    row: list[Any] = []
    for column in EVENTS[event]:
        one = members.get(column.name)
        if column.kind is Kind.TEXT and one is not None:
            one = str(one)
        if column.kind is Kind.INTS and one is not None:
            one = tuple(one)
        row.append(one)
        if column.kind is Kind.DECIMAL:
            exact = None if one is None else Decimal(one)
            row[-1:] = [None if exact is None else float(exact), *([exact] if is_exact(column) else [])]
    return tuple(row)


def rows_of(table: pa.Table, event: str) -> list[tuple[Any, ...]]:
    columns = []
    for column in EVENTS[event]:
        array = table[column.name]
        if column.kind in (Kind.TIME_MS, Kind.TIME_NS):
            assert array.type == pa.timestamp("ms" if column.kind is Kind.TIME_MS else "ns", "UTC")
            array = array.cast(pa.int64())
        elif column.kind is Kind.SYMBOL:
            assert pa.types.is_dictionary(array.type)
        values = [tuple(one) if isinstance(one, list) else one for one in array.to_pylist()]
        columns.append(values)
        if is_exact(column):
            exacts = table[f"{column.name}_exact"].to_pylist()
            columns.append([one and Decimal(one["mantissa"]).scaleb(one["exponent"]) for one in exacts])
    return list(zip(*columns, strict=True))


def stored(folder: Path, event: str) -> list[tuple[Any, ...]]:
    """The rows of all files of the event, all of which are whole."""
    assert not list(folder.rglob(f"*{PART}"))
    tables = [parquet.ParquetFile(path).read() for path in sorted(folder.glob(f"{event}/date=*/{event}-*.parquet"))]
    return [row for table in tables for row in rows_of(table, event)]


def numbers(folder: Path) -> list[int]:
    """Of the trades that `trade` made."""
    return sorted(int(row[1]) for row in stored(folder, "T"))


@pytest.mark.parametrize("options", [[], ["--processes"]])
def test_every_record_is_stored_exactly(options: list[str], tmp_path: Path) -> None:
    folder, summary = tmp_path / "files", tmp_path / "summary"
    folder.mkdir()
    records = records_of_all_events(3000) + OTHERS * 3
    streams = [framed(records[pipe::3]) for pipe in range(3)]
    ended = run_worker([*PARQUET, "--directory", folder, "--summary", summary, *options], streams)
    assert ended.code == 0, ended.err
    known = [(json.loads(record)["ev"], record) for record in records[:3000]]
    for event in EVENTS:
        expected = Counter(plain(event, record) for name, record in known if name == event)
        assert Counter(stored(folder, event)) == expected
    lines = [line for path in folder.glob("others-*.jsonl") for line in path.read_bytes().splitlines()]
    assert sorted(lines) == sorted(records[3000:])
    totals = json.loads(summary.read_text())
    assert (totals["records"], totals["others"], totals["lost"], totals["unusable"]) == (3015, 15, 0, 6)
    files = list(folder.rglob("*.parquet"))
    assert (totals["files"], totals["file_bytes"]) == (len(files), sum(path.stat().st_size for path in files))


def test_prices_are_exact() -> None:
    exact = {event: [column.name for column in columns if is_exact(column)] for event, columns in EVENTS.items()}
    bars = ["op", "vw", "o", "c", "h", "l", "a"]
    assert exact == {"T": ["p"], "Q": ["bp", "ap"], "A": bars, "AM": bars, "XT": ["p"], "XQ": ["lp", "bp", "ap"]} | {
        "C": ["a", "b"], "V": ["val"], "LULD": ["h", "l"], "FMV": ["fmv"],
    }  # fmt: skip


def test_rows_lie_in_the_folder_of_their_day(tmp_path: Path) -> None:
    days = {time_ms: datetime.fromtimestamp(time_ms // 1000 - 5 * 3600, UTC).date() for time_ms in
            [T_MS + day * DAY_MS for day in range(20)]}  # fmt: skip
    evening_ms = 1_781_665_200_000  # 2026-06-17, 03:00 UTC
    days[evening_ms] = date(2026, 6, 16)
    records = [trade(number, time_ms) for number, time_ms in enumerate(list(days) * 2)]
    strange = [b'{"ev":"T","sym":"A","i":"100"}', b'{"ev":"T","sym":"A","i":"101","t":%d}' % 10**17]
    ended = run_worker([*PARQUET, "--directory", tmp_path], [framed(records + strange)])
    assert ended.code == 0, ended.err
    found = Counter(
        (path.parent.name, time_ms)
        for path in tmp_path.glob("T/*/*.parquet")
        for time_ms in parquet.ParquetFile(path).read()["t"].cast(pa.int64()).to_pylist()
    )
    expected = Counter({(f"date={day}", time_ms): 2 for time_ms, day in days.items()})
    assert found == expected + Counter([(f"date={NO_DATE}", None), (f"date={NO_DATE}", 10**17)])


def test_rows_without_a_time_are_of_no_day(tmp_path: Path) -> None:
    """Also where all others are of one."""
    ended = run_worker([*PARQUET, "--directory", tmp_path], [framed([trade(1), b'{"ev":"T","sym":"A"}'])])
    assert ended.code == 0, ended.err
    rows = {path.parent.name: parquet.ParquetFile(path).metadata.num_rows for path in tmp_path.glob("T/*/*.parquet")}
    assert rows == {"date=2026-06-16": 1, f"date={NO_DATE}": 1}


def test_few_files_are_open_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trade_balancer.parquet_files._ROWS", 1)
    files = ParquetFiles(tmp_path, "T", Rotation(0, 0), Zone("UTC-5"))
    decoder = Decoder(column_names())
    records = [trade(number, T_MS + number % 20 * DAY_MS) for number in range(60)]
    for record in records:
        for batch in decoder.decode([framed([record])]):
            files.write(batch["T"])
        assert len(list(tmp_path.rglob(f"*{PART}"))) <= 8
    files.close()
    assert sorted(stored(tmp_path, "T")) == sorted(plain("T", record) for record in records)


def test_rows_become_row_groups_wherever_batches_and_files_end(tmp_path: Path) -> None:
    """Symbols that are seen late, files that end in between: against one that has all at once."""
    decoder = Decoder(column_names())
    now_s = 1_000_000_000.0
    files = ParquetFiles(tmp_path, "T", Rotation(0, 60), Zone("UTC-5"), lambda: now_s)
    rng = random.Random(1)
    records = [trade(number) for number in range(5000)]
    left, ends = records, 0
    while left:
        count = rng.randrange(1, 30)
        if files.is_over:
            files.close()
        for batch in decoder.decode([framed(left[:count])]):
            files.write(batch["T"])
        left = left[count:]
        if rng.random() < 0.02:
            now_s += 60
            ends += 1
    files.close()
    assert sorted(stored(tmp_path, "T")) == sorted(plain("T", record) for record in records)
    assert (files.files_total, files.rows_total) == (len(list(tmp_path.rglob("*.parquet"))), 5000)
    assert ends <= files.files_total <= ends + 1


def test_sigterm_costs_nothing(tmp_path: Path) -> None:
    with ready_worker([*PARQUET, "--directory", tmp_path]) as (worker, pipes):
        os.write(pipes[0], framed([trade(1), trade(2)]))
        worker.send_signal(signal.SIGTERM)
        os.write(pipes[0], framed([trade(3)]))
        os.close(pipes[0])
        worker.communicate()
    assert worker.returncode == 0
    assert numbers(tmp_path) == [1, 2, 3]


def test_files_whose_time_is_over_are_completed_though_no_record_comes(tmp_path: Path) -> None:
    with ready_worker([*PARQUET, "--directory", tmp_path, "--every", "1"]) as (worker, pipes):
        os.write(pipes[0], framed([trade(1)]))
        while not list(tmp_path.rglob("*.parquet")):
            assert worker.poll() is None
        assert numbers(tmp_path) == [1]
        os.close(pipes[0])
        worker.communicate()
    assert worker.returncode == 0


def test_what_a_killed_worker_leaves_is_removed_and_told(tmp_path: Path) -> None:
    """A file that another one is writing is not."""
    with pipes_with([[framed([trade(number) for number in range(140_000)])]]) as fds:
        hold, release = os.pipe()
        worker = start_worker([*PARQUET, "--directory", tmp_path], [*fds, hold])
        os.close(hold)
        while not (parts := list(tmp_path.rglob(f"*{PART}"))):
            assert worker.poll() is None
        ended = run_worker([*PARQUET, "--directory", tmp_path], [framed([trade(1)])])
        assert (ended.code, ended.err, list(tmp_path.rglob(f"*{PART}"))) == (0, "", parts)
        worker.kill()
        worker.communicate()
        os.close(release)
    ended = run_worker([*PARQUET, "--directory", tmp_path], [framed([trade(2)])])
    assert ended.code == 0
    assert ended.err.startswith(f"parquet.py: removed {parts[0]}, ")
    assert numbers(tmp_path) == [1, 2]


def test_a_file_that_another_took_for_a_left_over_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its making and its lock."""
    lock = fcntl.flock

    def lock_later(fd: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        assert len(list(remove_left_over(tmp_path.glob(f"*{PART}")))) == 1
        lock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", lock_later)
    part = FileNames("a", ".x").begin(tmp_path, 0.0, PartFile)
    part.write(b"whole")
    part.complete()
    (path,) = tmp_path.iterdir()
    assert path == part.path
    assert path.read_bytes() == b"whole"


def test_what_can_not_be_written_ends_the_worker_and_is_counted(tmp_path: Path) -> None:
    """What there is room for is stored all the same."""

    def no_large_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    rng = random.Random(1)
    trades = [trade(rng.getrandbits(50)) for _ in range(50_000)]
    quotes = [b'{"ev":"Q","sym":"A","bp":1.5,"t":%d}' % T_MS] * 5
    ended = run_worker([*PARQUET, "--directory", tmp_path], [framed(trades + quotes)], preexec_fn=no_large_files)
    assert ended.code == 74
    lost, told = ended.err.splitlines()
    assert lost == "parquet.py: 50000 records are lost: the files for them could not be written"
    assert told.startswith(f"parquet.py: cannot write to {tmp_path}/T/date=2026-06-16/T-")
    assert told.endswith(f".parquet{PART}: File too large")
    assert len(stored(tmp_path, "Q")) == 5
    assert stored(tmp_path, "T") == []


def test_what_can_not_be_used_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for options, code, told in [
        (["--directory", str(file)], 74, f"cannot write to {file}: not a folder"),
        (["--every", "-1"], 64, "argument --every: -1 is below 0"),
        (["--zone", "UTC+15"], 64, "argument --zone: UTC+15: no clock is as far from UTC"),
    ]:
        ended = run_worker([*PARQUET, *options], [framed([trade(1)])])
        assert ended.code == code
        assert told in ended.err
        assert "Traceback" not in ended.err


def test_a_folder_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "T").write_text("in the way")
    ended = run_worker([*PARQUET, "--directory", tmp_path], [framed([trade(1)])])
    assert ended.code == 74
    assert f"cannot make the folder {tmp_path}/T/date=2026-06-16: " in ended.err
    assert "parquet.py: 1 records are lost" in ended.err


def test_without_its_extra_it_says_so_in_one_sentence(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None; from trade_balancer.parquet import main; "
        f"sys.argv[1:1] = ['--directory', {str(tmp_path)!r}]; sys.exit(main())"
    )
    ended = run_worker(["-c", code], [framed([trade(1)])])
    told = "-c: lb-parquet needs the package pyarrow: pip install 'trade-balancer[parquet]'\n"
    assert (ended.code, ended.err) == (69, told)


def test_the_opening_second_is_stored_trade_by_trade(opening_second: Path, tmp_path: Path) -> None:
    """Against DuckDB's own reading of the recording; the files are no larger than its own of the same rows."""
    source = str(opening_second)
    worker = (sys.executable, *PARQUET)
    with (
        replay("--speed", "max", source) as server,
        Lb(
            server.url, 3, "--once", worker=worker, records=False, directory=tmp_path, environment=lb_environment()
        ) as lb,
    ):
        assert lb.wait().exit_code == 0, lb.log
    connection = duckdb.connect()
    connection.execute(f"CREATE VIEW stored AS FROM read_parquet('{tmp_path}/T/*/*.parquet')")
    connection.execute(
        "CREATE TABLE texts AS SELECT unnest(CAST(json AS JSON[])) AS record FROM read_json_objects(?)", [source]
    )
    kinds = {"sym": "VARCHAR", "i": "VARCHAR", "x": "INTEGER", "p": "DOUBLE", "s": "DOUBLE", "c": "INTEGER[]"}
    kinds |= {"q": "BIGINT", "z": "INTEGER"}
    told = ", ".join(f"CAST(record->>'{name}' AS {kind}) AS {name}" for name, kind in kinds.items())
    names = ", ".join(kinds)
    raw = f"SELECT {told}, CAST(record->'t' AS BIGINT) AS t FROM texts"
    ours = f"SELECT {names}, epoch_ms(t) AS t FROM stored"
    for one, other in [(raw, ours), (ours, raw)]:
        assert connection.execute(f"SELECT count(*) FROM (({one}) EXCEPT ALL ({other}))").fetchone() == (0,)
    theirs = tmp_path / "theirs.parquet"
    connection.execute(f"COPY (FROM stored) TO '{theirs}' (FORMAT parquet, COMPRESSION zstd)")
    assert sum(path.stat().st_size for path in tmp_path.glob("T/*/*")) <= theirs.stat().st_size
