"""What a worker tells lb of finished records, where lb wants to know (LB_FIRST): in time, and no more than is true."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from feeding import framed, run_worker, start_worker
from pyarrow import parquet

WAYS = {
    "run": "from trade_balancer import run\nrun(lambda record, fd: None)",
    "run, batch, raw": "from trade_balancer import run\nrun(lambda records, fd: None, batch=True, raw=True)",
    "run, processes": "from trade_balancer import run\nrun(lambda record, fd: None, processes=True)",
    "run, columns": "from trade_balancer import run\nrun(lambda batch, fd: None, columns=['sym'])",
    "batches": """
import sys
from trade_balancer import batches, fds_of_command_line
for fd, records in batches(fds_of_command_line(sys.argv)):
    pass
""",
    "views": """
import sys
from trade_balancer import fds_of_command_line, views
for fd, view in views(fds_of_command_line(sys.argv)):
    pass
""",
    "records": """
import asyncio, sys
from trade_balancer import fds_of_command_line, records
async def read(fd):
    async for record in records(fd):
        pass
async def main():
    await asyncio.gather(*map(read, fds_of_command_line(sys.argv)))
asyncio.run(main())
""",
    "lb-count": "import sys\nfrom trade_balancer.count import main\nsys.exit(main())",
}
RECORD = b'{"ev":"T","sym":"A"}'


@dataclass
class Retaining:
    """A worker that has said READY, as lb --redeliver sees it."""

    process: subprocess.Popen[str]
    channel: socket.socket
    read_fds: list[int]
    write_fds: list[int]

    def acknowledged(self) -> tuple[int, int]:
        """The next message, which must be an acknowledgement: pipe, by its place, and records."""
        word, fd, records = self.channel.recv(100).split()
        assert word == b"ACK"
        return self.read_fds.index(int(fd)), int(records)

    def finish(self) -> tuple[str, str, list[tuple[int, int]]]:
        """Close the pipes, and wait for the end: output, errors, and what it has acknowledged meanwhile."""
        while self.write_fds:
            os.close(self.write_fds.pop())
        out, err = self.process.communicate()
        messages = []
        while message := self.channel.recv(100):
            _, fd, records = message.split()
            messages.append((self.read_fds.index(int(fd)), int(records)))
        return out, err, messages


@contextmanager
def retaining(
    script: Path, code: str, pipes: int = 1, first: Sequence[int] = (0, 0), retain_bytes: int = 1 << 26
) -> Iterator[Retaining]:
    script.write_text(code)
    ours, channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(30)
    pairs = [os.pipe() for _ in range(pipes)]
    read_ends = [read_end for read_end, _ in pairs]
    told = {
        "LB_CHANNEL": str(channel.fileno()),
        "LB_RETAIN": str(retain_bytes),
        "LB_FIRST": ",".join(f"{fd}:{number}" for fd, number in zip(read_ends, first, strict=False)),
    }
    process = start_worker([script], read_ends, told, pass_fds=[channel.fileno()])
    for end in (*read_ends, channel.detach()):
        os.close(end)
    worker = Retaining(process, ours, read_ends, [write_end for _, write_end in pairs])
    with ours, process:
        try:
            assert ours.recv(100) == b"READY", process.communicate()
            yield worker
        finally:
            process.kill()
            for write_end in worker.write_fds:
                os.close(write_end)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_handled_is_acknowledged_though_nothing_follows(way: str, tmp_path: Path) -> None:
    with retaining(tmp_path / "worker.py", WAYS[way], pipes=2) as worker:
        os.write(worker.write_fds[0], framed([RECORD] * 5))
        assert worker.acknowledged() == (0, 5)
        os.write(worker.write_fds[1], framed([RECORD] * 4)[:-1])
        assert worker.acknowledged() == (1, 3)
        os.write(worker.write_fds[0], framed([RECORD] * 2))
        assert worker.acknowledged() == (0, 7)
        assert worker.finish()[2] == []


@pytest.mark.parametrize("way", WAYS)
def test_many_small_batches_are_few_messages(way: str, tmp_path: Path) -> None:
    seldom = "from trade_balancer import acknowledgement\nacknowledgement.EVERY_S = 1000\n"
    with retaining(tmp_path / "worker.py", seldom + WAYS[way]) as worker:
        os.write(worker.write_fds[0], framed([RECORD]))
        assert worker.acknowledged() == (0, 1)
        for _ in range(2000):
            os.write(worker.write_fds[0], framed([RECORD]))
        _, err, messages = worker.finish()
    assert (err, messages) == ("", [(0, 2001)])


def test_much_is_acknowledged_before_its_time(tmp_path: Path) -> None:
    code = WAYS["run, batch, raw"].replace("import run", "import acknowledgement, run\nacknowledgement.EVERY_S = 1000")
    record = b'{"pad":"%s"}' % (b"x" * 60_000)
    with retaining(tmp_path / "worker.py", code) as worker:
        os.write(worker.write_fds[0], framed([record]))
        assert worker.acknowledged() == (0, 1)
        for _ in range(40):
            os.write(worker.write_fds[0], framed([record]))
        _, records = worker.acknowledged()
        assert 9 <= records <= 11
        worker.finish()


@pytest.mark.parametrize("way", WAYS)
def test_without_redelivery_nothing_is_said(way: str, tmp_path: Path) -> None:
    with retaining(tmp_path / "worker.py", WAYS[way], first=()) as worker:
        os.write(worker.write_fds[0], framed([RECORD] * 5))
        assert worker.finish()[2] == []


FAILS = """
from trade_balancer import run
def handle(records, fd):
    assert b"stop" not in records[-1]
run(handle, batch=True, raw=True)
"""


def test_a_batch_that_the_handler_fails_on_is_not_acknowledged(tmp_path: Path) -> None:
    with retaining(tmp_path / "worker.py", FAILS) as worker:
        os.write(worker.write_fds[0], framed([RECORD] * 4))
        assert worker.acknowledged() == (0, 4)
        os.write(worker.write_fds[0], framed([RECORD, b'{"stop":1}']))
        assert worker.process.wait(30) == 1
        assert worker.finish()[2] == []


ASYNCHRONOUS = """
import asyncio, sys
from trade_balancer import fds_of_command_line, records
async def main():
    async for record in records(fds_of_command_line(sys.argv)[0], raw=True):
        if b"stop" in record:
            sys.exit(3)
asyncio.run(main())
"""


def test_with_asyncio_a_read_is_acknowledged_whole_or_not_at_all(tmp_path: Path) -> None:
    with retaining(tmp_path / "worker.py", ASYNCHRONOUS) as worker:
        os.write(worker.write_fds[0], framed([RECORD] * 4))
        assert worker.acknowledged() == (0, 4)
        os.write(worker.write_fds[0], framed([RECORD, b'{"stop":1}', RECORD]))
        assert worker.process.wait(30) == 3
        assert worker.finish()[2] == []


LATER = """
import sys
from trade_balancer import acknowledge, fds_of_command_line, numbered
for fd, number, records in numbered(fds_of_command_line(sys.argv), acknowledge=False):
    print(number, len(records), flush=True)
    if number + len(records) >= 110:
        acknowledge(fd, 108)
"""


def test_a_program_that_finishes_later_says_so_itself_by_numbers_that_go_on(tmp_path: Path) -> None:
    with retaining(tmp_path / "worker.py", LATER, first=[100]) as worker:
        assert worker.process.stdout is not None
        os.write(worker.write_fds[0], framed([RECORD] * 4))
        assert worker.process.stdout.readline() == "100 4\n"
        os.write(worker.write_fds[0], framed([RECORD] * 6))
        assert worker.process.stdout.readline() == "104 6\n"
        assert worker.acknowledged() == (0, 8)
        assert worker.finish()[2] == []


STORES = """
import sys
sys.argv[1:1] = ["--directory", {folder!r}, "--every", "0"]
from trade_balancer.parquet import main
sys.exit(main())
"""


def test_one_that_stores_files_acknowledges_what_is_in_whole_ones(tmp_path: Path) -> None:
    """Before lb would have to wait for it, or at the end."""
    code = STORES.format(folder=str(tmp_path))
    with retaining(tmp_path / "worker.py", code, retain_bytes=4000) as worker:
        os.write(worker.write_fds[0], framed([RECORD] * 5))
        os.write(worker.write_fds[0], framed([RECORD] * 150))
        _, records = worker.acknowledged()
        if records == 5:  # they were read by themselves, and the others came while they stood in a file
            _, records = worker.acknowledged()
        assert 2000 // len(RECORD) <= records <= 155
        assert sum(parquet.read_metadata(path).num_rows for path in tmp_path.glob("T/*/*.parquet")) == records
        os.write(worker.write_fds[0], framed([RECORD]))
        _, _, messages = worker.finish()
    assert messages[-1] == (0, 156)
    assert sum(parquet.read_metadata(path).num_rows for path in tmp_path.glob("T/*/*.parquet")) == 156


@pytest.mark.parametrize("text", ["x", "3", "3:x", "3:1:2"])
def test_numbers_that_are_none_are_told(text: str, tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WAYS["run"])
    ours, channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, channel:
        ended = run_worker(
            [script], [b""], environment={"LB_CHANNEL": str(channel.fileno()), "LB_FIRST": text},
            pass_fds=[channel.fileno()],
        )  # fmt: skip
    assert (ended.code, ended.out) == (76, "")
    assert f"LB_FIRST={text}: not FD:NUMBER" in ended.err
