"""`run` in real worker processes, started as the balancer starts them."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import orjson
import pytest
from feeding import framed, pipes_with, run_worker, start_worker
from hypothesis import given
from hypothesis import strategies as st

from trade_balancer import fds_of_command_line, run

# Written from the two sentences of the protocol, without the SDK: what any program in any language may rely on.
FROM_THE_PROTOCOL_ALONE = """
    import os, select, sys

    def read_exactly(fd, count):
        data = b""
        while len(data) < count and (more := os.read(fd, count - len(data))):
            data += more
        return data

    fds = [int(argument) for argument in sys.argv[1:]]
    while fds:
        for fd in select.select(fds, [], [])[0]:
            length = read_exactly(fd, 4)
            if not length:
                fds.remove(fd)
                continue
            record = read_exactly(fd, int.from_bytes(length, "little"))
            print(sys.argv.index(str(fd)), record.decode())
"""

BY_THE_SDK = {
    "run(on_record)": """
        import orjson, sys, trade_balancer
        def on_record(record: dict, fd: int) -> None:
            print(sys.argv.index(str(fd)), orjson.dumps(record).decode())
        trade_balancer.run(on_record)
    """,
    "run(raw=True)": """
        import sys, trade_balancer
        def on_record(record: bytes, fd: int) -> None:
            print(sys.argv.index(str(fd)), record.decode())
        trade_balancer.run(on_record, raw=True)
    """,
    "run(batch=True)": """
        import orjson, sys, trade_balancer
        def on_batch(records: list[dict], fd: int) -> None:
            for record in records:
                print(sys.argv.index(str(fd)), orjson.dumps(record).decode())
        trade_balancer.run(on_batch, batch=True)
    """,
    "run(raw=True, batch=True, processes=True)": """
        import sys, trade_balancer
        def on_batch(records: list[bytes], fd: int) -> None:
            for record in records:  # one write each, of less than PIPE_BUF: two processes write to one pipe
                print(sys.argv.index(str(fd)), record.decode(), flush=True)
        trade_balancer.run(on_batch, raw=True, batch=True, processes=True)
    """,
    "batches": """
        import sys, trade_balancer
        for fd, records in trade_balancer.batches(trade_balancer.fds_of_command_line(sys.argv)):
            for record in records:
                print(sys.argv.index(str(fd)), record.decode())
    """,
    "records": """
        import asyncio, sys, trade_balancer
        async def print_all(fd: int) -> None:
            async for record in trade_balancer.records(fd, raw=True):
                print(sys.argv.index(str(fd)), record.decode())
        async def main() -> None:
            async with asyncio.TaskGroup() as tasks:
                for fd in trade_balancer.fds_of_command_line(sys.argv):
                    tasks.create_task(print_all(fd))
        asyncio.run(main())
    """,
}

FEED = [
    b'{"ev":"T","sym":"MSFT","i":8310,"x":4,"p":156.9799,"s":3,"c":[37],"t":1577818283019,"z":3}',
    b'{"ev":"XL2","pair":"BTC-USD","b":[[1,2.5]],"a":[],"text":"}]\\"[{"}',
    b'{"ev":"lagg"}',
    b'{"ev":"LULD","h":3.63,"l":2.97,"i":[15],"z":3,"T":"ATHR","t":1788877046310003385,"q":3209681}',
]


def script(directory: Path, text: str) -> Path:
    path = directory / "worker.py"
    path.write_text(textwrap.dedent(text))
    return path


def by_pipe(out: str) -> dict[str, list[str]]:
    received: dict[str, list[str]] = {}
    for line in out.splitlines():
        pipe, record = line.split(" ", 1)
        received.setdefault(pipe, []).append(record)
    return received


@pytest.mark.parametrize("way", BY_THE_SDK)
def test_every_way_to_read_gives_what_the_protocol_alone_gives(way: str, tmp_path: Path) -> None:
    streams = [framed(FEED * 500), b"", framed(FEED[1:] * 300)]
    expected = run_worker([script(tmp_path, FROM_THE_PROTOCOL_ALONE)], streams)
    assert (expected.code, expected.err) == (0, "")
    ended = run_worker([script(tmp_path, BY_THE_SDK[way])], streams)
    assert (ended.code, ended.err) == (0, "")
    assert by_pipe(ended.out) == by_pipe(expected.out)
    assert {pipe: len(records) for pipe, records in by_pipe(ended.out).items()} == {"1": 2000, "3": 900}


json_objects = st.dictionaries(st.text(max_size=5), st.none() | st.integers(-9, 9) | st.text(max_size=9), max_size=4)


@given(st.lists(st.lists(json_objects, max_size=5), min_size=1, max_size=3), st.booleans())
def test_any_objects_come_decoded(objects_per_pipe: list[list[dict[str, object]]], batch: bool) -> None:
    with pipes_with([[framed([orjson.dumps(x) for x in objects])] for objects in objects_per_pipe]) as fds:
        received: dict[int, list[object]] = {fd: [] for fd in fds}
        if batch:
            run(lambda records, fd: received[fd].extend(records), fds, batch=True)
        else:
            run(lambda record, fd: received[fd].append(record), fds)
    assert list(received.values()) == objects_per_pipe


@pytest.mark.parametrize("way", [way for way in BY_THE_SDK if way.startswith("run")])
def test_a_pipe_that_ends_inside_a_record_is_told_with_exit_code_65_and_loses_nothing(way: str, tmp_path: Path) -> None:
    streams = [framed(FEED) + framed([b"x" * 112])[:14], framed(FEED)]
    ended = run_worker([script(tmp_path, BY_THE_SDK[way])], streams)
    assert ended.code == 65
    assert ended.err == f"worker.py: fd {ended.fds[0]}: the pipe ended inside a record: got 10 of 112 bytes\n"
    assert {pipe: len(records) for pipe, records in by_pipe(ended.out).items()} == {"1": 4, "2": 4}


def test_a_worker_started_again_on_the_same_pipe_goes_on_where_the_first_one_stopped(tmp_path: Path) -> None:
    """The first reads one record to its last byte and crashes; the pipe is at a record boundary then."""
    crashes_after_one = FROM_THE_PROTOCOL_ALONE + "            os.abort()\n"
    read_end, write_end = os.pipe()
    try:
        os.write(write_end, framed(FEED))
        os.close(write_end)
        first = start_worker([script(tmp_path, crashes_after_one)], [read_end])
        first.communicate()
        assert first.returncode == -6
        second = start_worker([script(tmp_path, BY_THE_SDK["run(raw=True)"])], [read_end])
        out, err = second.communicate()
    finally:
        os.close(read_end)
    assert (second.returncode, err) == (0, "")
    assert by_pipe(out)["1"] == [record.decode() for record in FEED[1:]]


def test_the_fds_are_the_numbers_that_end_the_command_line() -> None:
    assert fds_of_command_line(["worker.py", "--depth", "x", "5", "7"]) == [5, 7]
    assert fds_of_command_line(["7"]) == []
    assert fds_of_command_line(["worker.py", "3", "-4"]) == []


def test_a_command_line_without_fds_is_a_usage_error(tmp_path: Path) -> None:
    ended = run_worker([script(tmp_path, BY_THE_SDK["run(raw=True)"])], [])
    assert (ended.code, ended.err) == (64, "worker.py: no file descriptors of pipes: name at least one\n")
