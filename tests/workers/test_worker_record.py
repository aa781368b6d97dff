"""`lb-record`, joined to a running lb or as its worker: every record, or a count of what is missing, in its place."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from feeding import framed, ready_worker, run_worker
from harness import Feed, Flood, Lb, lb_environment
from harness.flood import record
from harness.joining import Joined

from trade_balancer.part_files import PART
from trade_balancer.recording.reader import Recording

pytestmark = pytest.mark.slow

RECORD = ["-m", "trade_balancer.record"]
RECORDS = [b'{"n":%d}' % number for number in range(5000)]


def stored(folder: Path, *, torn: bool = False) -> list[bytes]:
    """The records of all files, in their order."""
    paths = sorted(folder.glob("recording-*"), key=lambda path: int(path.name.partition(".")[0].split("-")[-1]))
    assert torn or not [path for path in paths if path.name.endswith(PART)]
    records: list[bytes] = []
    for path in paths:
        with Recording(path) as recording:
            records += [line for block in recording.blocks() for line in block.lines()]
            assert torn or (recording.is_complete and not recording.damage)
    return records


@contextlib.contextmanager
def joined(socket: Path, folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`lb-record PATH`, attached. It ends with SIGTERM, and well."""
    command = [sys.executable, *RECORD, str(socket), "--directory", str(folder), *options]
    with Joined(socket) as client:
        before = len(client.result("status")["readers"])
        with subprocess.Popen(command, env=lb_environment(), stderr=subprocess.PIPE, text=True) as process:
            try:
                while len(client.result("status")["readers"]) == before:
                    assert process.poll() is None, process.communicate()
                yield process
            finally:
                process.kill()


def test_a_joined_recorder_has_all_that_lb_has_received_in_its_order(tmp_path: Path) -> None:
    socket = tmp_path / "lb.sock"
    with (
        Feed() as feed,
        Lb(feed.url, 3, "--control", str(socket)) as lb,
        feed.session() as peer,
        joined(socket, tmp_path, "--block-bytes", "20000") as recorder,
    ):
        before_ns = time.time_ns()
        with Flood(peer, limit=20_000) as flood:
            flood.wait()
        lb.await_records(20_000)
        recorder.send_signal(signal.SIGTERM)
        _, told = recorder.communicate()
        assert recorder.returncode == 0
        (path,) = tmp_path.glob("recording-*.jsonl.zst")
        assert told == f"record.py: 20000 records in 1 files of {path.stat().st_size} bytes\n"
        assert stored(tmp_path) == [record(number) for number in range(20_000)]
        with Recording(path) as recording:
            times_ns = [time_ns for block in recording.blocks() for time_ns in block.times_ns]
            assert (recording.about["feed"], recording.about["topics"]) == (feed.url, ["*"])
        assert before_ns <= times_ns[0] <= times_ns[-1] <= time.time_ns()
        assert times_ns == sorted(times_ns)
        lb.stop()


def test_lb_waits_for_no_recorder_and_what_is_missing_is_counted_in_its_place(tmp_path: Path) -> None:
    """A disk that says nothing: the recorder is stopped, which is as long as a disk can take."""
    socket, count = tmp_path / "lb.sock", 60_000
    with (
        Feed() as feed,
        Lb(feed.url, 1, "--control", str(socket)) as lb,
        feed.session() as peer,
        joined(socket, tmp_path, "--backlog", "65536", "--policy", "drop-oldest") as recorder,
    ):
        recorder.send_signal(signal.SIGSTOP)
        with Flood(peer, limit=count) as flood:
            flood.wait()
        lb.await_records(count)  # the worker has all, though the recorder has taken nothing
        recorder.send_signal(signal.SIGCONT)
        with Joined(socket) as client:
            while (reader := client.result("status")["readers"][0])["waiting_records"]:
                pass
        recorder.send_signal(signal.SIGTERM)
        _, told = recorder.communicate()
        lb.stop()
    records = stored(tmp_path)
    markers = [json.loads(line)["dropped"] for line in records if line.startswith(b'{"ev":"lb"')]
    numbers = [json.loads(line)["n"] for line in records if not line.startswith(b'{"ev":"lb"')]
    assert sum(markers) == reader["dropped_total"] > 0
    assert len(numbers) + sum(markers) == count
    assert told.startswith(f"record.py: {len(numbers)} records in 1 files of ")
    assert told.endswith(f", {sum(markers)} dropped: too slow\n")
    assert [record(number) for number in numbers] == [line for line in records if not line.startswith(b'{"ev":"lb"')]
    expected = 0
    for line in records:  # each marker stands where the records are missing
        said = json.loads(line)
        expected += said["dropped"] if said["ev"] == "lb" else 1
        assert said["ev"] == "lb" or said["n"] == expected - 1


def test_a_recorder_ends_with_its_lb_and_with_all_it_had(tmp_path: Path) -> None:
    socket = tmp_path / "lb.sock"
    with (
        Feed() as feed,
        Lb(feed.url, 1, "--control", str(socket)) as lb,
        feed.session() as peer,
        joined(socket, tmp_path, "T.S1") as recorder,
    ):
        with Flood(peer, limit=5000) as flood:
            flood.wait()
        while lb.balance()["received"] < 5000:
            pass
        assert lb.stop().exit_code == 0
        assert recorder.wait(30) == 0
    assert stored(tmp_path) == [record(number) for number in range(5000) if number % 50 == 1]


def test_the_records_of_all_pipes_of_a_worker_are_stored_and_told(tmp_path: Path) -> None:
    folder, summary = tmp_path / "files", tmp_path / "summary"
    folder.mkdir()
    arguments = [*RECORD, "--worker", "--directory", str(folder), "--summary", str(summary), "--processes"]
    ended = run_worker(arguments, [framed(RECORDS[:2000]), framed(RECORDS[2000:]), b""])
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    totals = json.loads(summary.read_text())
    paths = list(folder.iterdir())
    assert sorted(line for path in paths for line in stored_in(path)) == sorted(RECORDS)
    assert (totals["records"], totals["files"]) == (len(RECORDS), len(paths)) == (5000, 2)
    assert totals["file_bytes"] == sum(path.stat().st_size for path in paths)


def stored_in(path: Path) -> list[bytes]:
    with Recording(path) as recording:
        return [line for block in recording.blocks() for line in block.lines()]


def feed_for_ever(fd: int) -> None:
    """Numbers, until nobody reads them any more."""
    with contextlib.suppress(BrokenPipeError):
        for begin in itertools.count(0, 100):
            left = framed([b"%d" % number for number in range(begin, begin + 100)])
            while left:
                left = left[os.write(fd, left) :]
    os.close(fd)


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_recorder_loses_no_block_that_was_written_and_the_next_one_completes_it(
    seed: int, tmp_path: Path
) -> None:
    least_bytes = random.Random(seed).randrange(1, 400_000)
    with ready_worker([*RECORD, "--worker", "--directory", str(tmp_path), "--block-bytes", "500"]) as (worker, pipes):
        feeder = threading.Thread(target=feed_for_ever, args=pipes)
        feeder.start()
        while sum(path.stat().st_size for path in tmp_path.iterdir()) < least_bytes:
            pass
        worker.kill()
        worker.communicate()
        feeder.join()
    (part,) = tmp_path.iterdir()
    assert part.name.endswith(PART)
    written = stored(tmp_path, torn=True)
    assert written == [b"%d" % number for number in range(len(written))]
    ended = run_worker([*RECORD, "--worker", "--directory", str(tmp_path)], [framed([b"next"])])
    assert ended.code == 0
    assert f"of an earlier run is completed: {len(written)} records in " in ended.err
    assert sorted(stored(tmp_path)) == sorted([*written, b"next"])


def read_bytes(pid: int) -> int:
    """What a process has read in its life."""
    return int(Path(f"/proc/{pid}/io").read_text().split()[1])


def test_a_killed_worker_of_an_lb_that_redelivers_costs_no_record(tmp_path: Path) -> None:
    """It acknowledges what is in written blocks; copies come at most of what was not yet."""
    worker = (sys.executable, *RECORD, "--worker", "--block-bytes", str(1 << 26))  # a block a second
    options = ("--redeliver", "--spawn", "per-pipe")
    with (
        Feed() as feed,
        Lb(feed.url, 2, *options, worker=worker, records=False, directory=tmp_path, environment=lb_environment()) as lb,
        feed.session() as peer,
    ):
        pid = lb.await_line("worker started", slot=0)["pid"]
        with Flood(peer, limit=1000) as flood:
            flood.wait()
        while not list(tmp_path.glob(f"recording-*-{pid}-1.jsonl.zst.part")):
            pass
        before = read_bytes(pid)
        with Flood(peer, begin=1000, limit=40_000) as flood:
            while read_bytes(pid) < before + 1_000_000:
                pass
            os.kill(pid, signal.SIGKILL)
            flood.wait()
        lb.await_line("worker ended", pid=pid)
        lb.await_line("worker started", slot=0)  # a stop starts nobody, and what waits for nobody is not delivered
        while lb.balance()["received"] < 40_000:
            pass
        assert lb.stop().exit_code == 0
    assert list(tmp_path.glob(f"recording-*-{pid}-1.jsonl.zst"))  # its successor has completed it
    numbers = Counter(json.loads(line)["n"] for path in tmp_path.iterdir() for line in stored_in(path))
    assert numbers.keys() == set(range(40_000))
    assert max(numbers.values()) <= 2


def test_a_full_disk_ends_it_with_74_and_what_was_whole_is_completed_at_the_next_start(tmp_path: Path) -> None:
    def no_large_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    arguments = [*RECORD, "--worker", "--directory", str(tmp_path), "--block-bytes", "500"]
    ended = run_worker(arguments, [framed(RECORDS)], preexec_fn=no_large_files)
    (path,) = tmp_path.iterdir()
    assert (ended.code, ended.err) == (74, f"record.py: cannot write to {path}: File too large\n")
    assert path.stat().st_size == 3000
    ended = run_worker(arguments, [framed([])])
    assert ended.code == 0
    assert "no whole block, are cut off" in ended.err
    assert stored(tmp_path) == RECORDS[: len(stored(tmp_path))] != []


def test_what_can_not_be_used_is_told_at_once(tmp_path: Path) -> None:
    for options, code, told in [
        (["--worker", "--directory", str(tmp_path / "none"), "0"], 74, "not a folder"),
        (["--worker", "--zstd", "20", "0"], 64, "argument --zstd: invalid choice: "),
        (["--worker", "--block-bytes", "0", "0"], 64, "argument --block-bytes: 0 is outside of 1 to"),
        ([str(tmp_path / "none.sock"), "--directory", str(tmp_path)], 69, "no lb there: No such file"),
        ([], 64, "the following arguments are required: PATH"),
    ]:
        ended = subprocess.run(
            [sys.executable, *RECORD, *options], env=lb_environment(), capture_output=True, text=True, check=False
        )
        assert ended.returncode == code
        assert told in ended.stderr
        assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_its_extra_it_is_one_clear_sentence(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['zstandard'] = None; from trade_balancer.record import main; "
        f"sys.argv[1:1] = ['--worker', '--directory', {str(tmp_path)!r}]; sys.exit(main())"
    )
    ended = run_worker(["-c", code], [framed(RECORDS)])
    told = "-c: a recording needs the package zstandard: pip install 'trade-balancer[zstd]'\n"
    assert (ended.code, ended.err) == (69, told)
