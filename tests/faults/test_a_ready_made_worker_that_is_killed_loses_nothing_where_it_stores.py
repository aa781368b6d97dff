"""--redeliver with the workers that store: what a killed one had taken and not stored, its successor stores."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import zstandard
from harness.feed import Feed
from harness.flood import Flood
from harness.lb_process import End, Lb
from harness.redelivering import AT_ONCE, LITTLE, REDELIVER, assert_nothing_lost, kill_in_full_flight
from pyarrow import parquet

T_MS = 1_781_622_376_500


def quote(number: int) -> bytes:
    """Of quotes nothing but `q`, which is no key, tells which is which; of others, `n`."""
    if number % 7:
        return b'{"ev":"Q","sym":"S%d","bp":1.5,"t":%d,"q":%d}' % (number % 50, T_MS, number)
    return b'{"ev":"NOI","T":"A","n":%d}' % number


def killed_in_full_flight(*worker: str) -> End:
    return ended(worker, lambda lb: kill_in_full_flight(lb, 2, times=5))


def ended(worker: Sequence[str], faults: Callable[[Lb], object]) -> End:
    command = (sys.executable, *worker)
    with Feed() as feed, Lb(feed.url, 2, *REDELIVER, *LITTLE, worker=command, constants=AT_ONCE) as lb:
        with feed.session() as peer, Flood(peer, make=quote):
            faults(lb)
        end = lb.stop()
    assert_nothing_lost(end.balance, end.balance["received"])
    assert end.exit_code == 0
    return end


def in_others(lines: Sequence[str]) -> list[int]:
    return [json.loads(line)["n"] for line in lines]


DIES_UNTOLD = """
import os, signal, sys
from pathlib import Path
from trade_balancer.acknowledgement import Unfinished
from trade_balancer.sql import main
deaths, finish = Path(sys.argv.pop(1)), Unfinished.finish
def die(self, mark):
    if mark and len(list(deaths.iterdir())) < 5:
        (deaths / str(os.getpid())).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    finish(self, mark)
Unfinished.finish = die
main()
"""


def test_a_database_has_every_record_once(tmp_path: Path) -> None:
    """Also those that no key tells apart."""
    end = killed_in_full_flight("-m", "trade_balancer.sql", "--database", str(tmp_path / "db"))
    assert_once(tmp_path / "db", end)


def test_a_database_has_once_what_was_committed_and_not_acknowledged(tmp_path: Path) -> None:
    deaths = tmp_path / "deaths"
    deaths.mkdir()
    worker = ("-c", DIES_UNTOLD, str(deaths), "--database", str(tmp_path / "db"))
    end = ended(worker, lambda lb: [lb.await_line("unacknowledged records are delivered again") for _ in range(5)])
    assert_once(tmp_path / "db", end)


def assert_once(database: Path, end: End) -> None:
    with closing(sqlite3.connect(database)) as connection:
        found = [number for (number,) in connection.execute("SELECT q FROM quotes")]
        found += in_others([record for (record,) in connection.execute("SELECT record FROM others")])
        stored = connection.execute("SELECT count(DISTINCT run), sum(number) FROM lb_stored").fetchone()
    assert sorted(found) == list(range(end.balance["received"]))
    assert stored == (1, end.balance["received"])


def test_whole_parquet_files_have_every_record(tmp_path: Path) -> None:
    """Some of them twice: between a file's name and its acknowledgement there is time to die."""
    end = killed_in_full_flight("-m", "trade_balancer.parquet", "--directory", str(tmp_path))
    files = list(tmp_path.glob("Q/*/*.parquet"))
    found = [number for path in files for number in parquet.read_table(path, columns=["q"])["q"].to_pylist()]
    found += in_others([line for path in tmp_path.glob("others*") for line in path.read_text().splitlines()])
    assert set(found) == set(range(end.balance["received"]))
    assert len(found) - len(set(found)) <= sum(end.balance["redelivered"])


def test_compressed_lines_have_every_record(tmp_path: Path) -> None:
    """What a compressor keeps back, dies with it."""
    end = killed_in_full_flight("-m", "trade_balancer.jsonl", "--directory", str(tmp_path), "--zstd", "1")
    found = set()
    for path in tmp_path.iterdir():
        data = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
        for line in data.split(b"\n")[:-1]:
            record = json.loads(line)
            found.add(record["q"] if record["ev"] == "Q" else record["n"])
    assert found == set(range(end.balance["received"]))
