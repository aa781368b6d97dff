"""`lb-jsonl`: every record in a file that is whole, or at the begin of one that is called .part."""

from __future__ import annotations

import io
import json
import os
import resource
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import orjson
import pytest
import zstandard
from feeding import framed, ready_worker, run_worker
from harness import Feed, Flood, Lb, lb_environment, replay
from harness.fixtures import data
from harness.flood import record
from hypothesis import given, settings
from hypothesis import strategies as st

from trade_balancer.line_files import LineFiles, Rotation
from trade_balancer.part_files import PART
from trade_balancer.zstd import ZstdCompressor

__all__ = ["data"]

JSONL = ["-m", "trade_balancer.jsonl"]
RECORDS = [b'{"n":%d}' % number for number in range(1000)]


def unpacked(path: Path) -> bytes:
    content = path.read_bytes()
    if ".zst" in path.suffixes:
        return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(content), read_across_frames=True).read()
    return content


def number_of(path: Path) -> tuple[str, int]:
    """By PID and N, as one process has written them."""
    *_, pid, number = path.name.partition(".")[0].split("-")
    return pid, int(number)


def stored(folder: Path) -> list[bytes]:
    """The lines of all files, in their order; all files are whole."""
    paths = sorted(folder.iterdir(), key=number_of)
    assert [path for path in paths if path.name.endswith(PART)] == []
    texts = [unpacked(path) for path in paths]
    assert all(text.endswith(b"\n") for text in texts)
    return b"".join(texts).split(b"\n")[:-1]


steps = st.lists(st.tuples(st.integers(0, 40), st.lists(st.binary(max_size=9), min_size=1, max_size=5)), max_size=12)


@settings(max_examples=50)
@given(steps, st.sampled_from([0, 1, 10, 30]), st.sampled_from([0, 60]), st.booleans())
def test_any_writes_at_any_times_make_files_that_hold_all_lines(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[int, list[bytes]]],
    most_bytes: int,
    every_s: int,
    is_packed: bool,
) -> None:
    folder = tmp_path_factory.mktemp("files")
    now_s = 1_000_000_000.0
    suffix, new_compressor = (".zst", partial(ZstdCompressor, 1)) if is_packed else (".x", None)
    files = LineFiles(folder, "p", suffix, Rotation(most_bytes, every_s), new_compressor, lambda: now_s)
    expected: list[list[bytes]] = []
    size_bytes, begin_s = 0, 0.0
    for pause_s, lines in steps:
        now_s += pause_s
        is_over = every_s and now_s // every_s != begin_s // every_s
        if not expected or is_over or (most_bytes and size_bytes >= most_bytes):
            expected.append([])
            size_bytes, begin_s = 0, now_s
        expected[-1] += [line.replace(b"\n", b" ") for line in lines]
        size_bytes += sum(map(len, lines)) + len(lines)
        files.write(lines)
    files.close()
    paths = sorted(folder.iterdir(), key=number_of)
    written = [unpacked(path).split(b"\n")[:-1] for path in paths]
    assert [line for lines in written for line in lines] == [line for lines in expected for line in lines]
    if not is_packed or not most_bytes:  # of packed files nobody foretells the size
        assert written == expected
    assert files.files_total == len(paths)
    assert files.bytes_total == sum(path.stat().st_size for path in paths)
    assert not [path for path in paths if path.name.endswith(PART)]


def test_a_newline_between_members_is_a_space(tmp_path: Path) -> None:
    files = LineFiles(tmp_path, "p", ".x", Rotation(0, 0))
    files.write([b'{"a":1}', b'{\n"b"\n:2}', b"{}"])
    files.close()
    assert stored(tmp_path) == [b'{"a":1}', b'{ "b" :2}', b"{}"]


def test_a_file_of_the_same_name_is_left_alone(tmp_path: Path) -> None:
    """Of a process with the same number, restarted within a second: in containers that happens."""
    first, second, third = (tmp_path / f"p-20010909T014640Z-{os.getpid()}-{number}.x" for number in (1, 2, 3))
    second = second.with_name(second.name + PART)
    first.write_text("kept")
    second.write_text("kept")
    files = LineFiles(tmp_path, "p", ".x", Rotation(0, 0), clock=lambda: 1_000_000_000)
    files.write([b"new"])
    files.close()
    contents = {path: path.read_text() for path in tmp_path.iterdir()}
    assert contents == {first: "kept", second: "kept", third: "new\n"}


def test_what_a_compressor_keeps_back_is_on_the_disk_a_second_later(tmp_path: Path) -> None:
    now_s = 1_000_000_000.0
    files = LineFiles(tmp_path, "p", ".zst", Rotation(0, 0), lambda: ZstdCompressor(3), lambda: now_s)
    files.write(RECORDS[:10])
    (part,) = tmp_path.iterdir()
    now_s += 1
    files.tick()
    unfinished = zstandard.ZstdDecompressor().decompressobj().decompress(part.read_bytes())
    assert unfinished == b"\n".join(RECORDS[:10]) + b"\n"
    files.close()


@pytest.mark.parametrize("options", [[], ["--zstd", "3"], ["--processes", "--max-bytes", "1000"]])
def test_the_records_of_all_pipes_are_stored_and_told(options: list[str], tmp_path: Path) -> None:
    folder, summary = tmp_path / "files", tmp_path / "summary"
    folder.mkdir()
    arguments = [*JSONL, "--directory", str(folder), "--summary", str(summary), *options]
    ended = run_worker(arguments, [framed(RECORDS[:500]), framed(RECORDS[500:]), b""])
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert sorted(stored(folder)) == sorted(RECORDS)
    totals = json.loads(summary.read_text())
    paths = list(folder.iterdir())
    assert (totals["records"], totals["files"]) == (len(RECORDS), len(paths))
    assert totals["file_bytes"] == sum(path.stat().st_size for path in paths)
    assert all(path.name.startswith("records-") for path in paths)


def test_a_file_whose_time_is_over_is_completed_though_no_record_comes(tmp_path: Path) -> None:
    arguments = [*JSONL, "--directory", str(tmp_path), "--every", "1"]
    with ready_worker(arguments) as (worker, pipes):
        os.write(pipes[0], framed(RECORDS[:3]))
        while not list(tmp_path.glob("*.jsonl")):
            assert worker.poll() is None
        assert stored(tmp_path) == RECORDS[:3]
        os.close(pipes[0])
        worker.communicate()
    assert worker.returncode == 0


def test_a_killed_worker_leaves_its_records_in_a_part(tmp_path: Path) -> None:
    with ready_worker([*JSONL, "--directory", str(tmp_path)]) as (worker, pipes):
        os.write(pipes[0], framed(RECORDS))
        text = b"\n".join(RECORDS) + b"\n"
        while not any(path.stat().st_size == len(text) for path in tmp_path.iterdir()):
            assert worker.poll() is None
        worker.kill()
        worker.communicate()
        os.close(pipes[0])
    (path,) = tmp_path.iterdir()
    assert path.name.endswith(".jsonl.part")
    assert path.read_bytes() == text


def test_a_file_that_can_not_be_written_ends_the_worker_and_stays_a_part(tmp_path: Path) -> None:
    def no_large_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))

    ended = run_worker([*JSONL, "--directory", str(tmp_path)], [framed(RECORDS)], preexec_fn=no_large_files)
    (path,) = tmp_path.iterdir()
    assert path.name.endswith(PART)
    assert (ended.code, ended.err) == (74, f"jsonl.py: cannot write to {path}: File too large\n")


def test_what_can_not_be_used_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for options, code, told in [
        (["--directory", str(file)], 74, f"cannot write to {file}: not a folder"),
        (["--directory", str(tmp_path / "none")], 74, f"cannot write to {tmp_path / 'none'}: not a folder"),
        (["--max-bytes", "-1"], 64, "argument --max-bytes: -1 is below 0"),
        (["--prefix", "a/b"], 64, "argument --prefix: 'a/b' can't begin a file's name"),
        (["--zstd", "20"], 64, "argument --zstd: invalid choice: "),
    ]:
        ended = run_worker([*JSONL, *options], [framed(RECORDS)])
        assert ended.code == code
        assert told in ended.err
        assert "Traceback" not in ended.err
    assert list(tmp_path.iterdir()) == [file]


def test_zstd_without_its_extra_is_one_clear_sentence(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['zstandard'] = None; from trade_balancer.jsonl import main; "
        f"sys.argv[1:1] = ['--directory', {str(tmp_path)!r}, '--zstd', '3']; sys.exit(main())"
    )
    ended = run_worker(["-c", code], [framed(RECORDS)])
    told = "-c: --zstd needs the package zstandard: pip install 'trade-balancer[zstd]'\n"
    assert (ended.code, ended.err) == (69, told)


def test_all_that_lb_deals_is_stored(tmp_path: Path) -> None:
    worker = (sys.executable, *JSONL, "--max-bytes", "100000", "--zstd", "1", "--processes")
    with (
        Feed() as feed,
        Lb(feed.url, 3, worker=worker, records=False, directory=tmp_path, environment=lb_environment()) as lb,
        feed.session() as peer,
    ):
        with Flood(peer, limit=20_000) as flood:
            flood.wait()
        while lb.balance()["received"] < 20_000:
            pass
        assert lb.stop().exit_code == 0
    by_process: dict[str, list[bytes]] = {}
    for path in sorted(tmp_path.iterdir(), key=number_of):
        by_process.setdefault(number_of(path)[0], []).extend(unpacked(path).split(b"\n")[:-1])
    assert sorted(by_process.values(), key=lambda lines: int(json.loads(lines[0])["n"])) == [
        [record(number) for number in range(pipe, 20_000, 3)] for pipe in range(3)
    ]


def test_the_opening_second_is_stored_trade_by_trade(data: Path, tmp_path: Path) -> None:
    """Against a count of the raw file that shares no line with what is tested."""
    source = data / "polygon_trades_open_20131218.jsonl.zst"
    with zstandard.open(source, "rt") as lines:
        expected = Counter((trade["sym"], trade["p"], trade["s"]) for line in lines for trade in json.loads(line))
    worker = (sys.executable, *JSONL, "--zstd", "3")
    with (
        replay("--speed", "max", "--end", "stay", str(source)) as server,
        Lb(server.url, 4, worker=worker, records=False, directory=tmp_path, environment=lb_environment()) as lb,
    ):
        lb.await_line("session open")
        while lb.balance()["received"] < expected.total():
            pass
        assert lb.stop().exit_code == 0
    trades = map(orjson.loads, stored(tmp_path))
    assert Counter((trade["sym"], trade["p"], trade["s"]) for trade in trades) == expected
