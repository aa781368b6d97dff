"""The way back to lb: READY, and the version of the pipe protocol."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from feeding import framed, run_worker, start_worker

from trade_balancer import ProtocolError
from trade_balancer.channel import say_ready

WAYS = {
    "run": "from trade_balancer import run\nrun(print)",
    "run, processes": "from trade_balancer import run\nrun(print, processes=True)",
    "batches": """
import sys
from trade_balancer import batches, fds_of_command_line
for fd, records in batches(fds_of_command_line(sys.argv)):
    print(records)
""",
    "records": """
import asyncio, sys
from trade_balancer import fds_of_command_line, records
async def read(fd):
    async for record in records(fd):
        print(record)
async def main():
    await asyncio.gather(*map(read, fds_of_command_line(sys.argv)))
asyncio.run(main())
""",
    "lb-count": "import sys\nfrom trade_balancer.count import main\nsys.exit(main())",
}


@pytest.mark.parametrize("way", WAYS)
def test_ready_is_said_once_before_anything_is_read(way: str, tmp_path: Path) -> None:
    """And by nobody whom the worker starts: LB_CHANNEL is gone from the environment."""
    script = tmp_path / "worker.py"
    script.write_text(f"{WAYS[way]}\nimport os\nassert 'LB_CHANNEL' not in os.environ\n")
    ours, channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pairs = [os.pipe() for _ in range(2)]
    with ours, channel:
        worker = start_worker(
            [script], [read_end for read_end, _ in pairs], {"LB_CHANNEL": str(channel.fileno()), "LB_PIPES": "1"},
            pass_fds=[channel.fileno()],
        )  # fmt: skip
        assert ours.recv(100) == b"READY"
        for read_end, write_end in pairs:
            os.close(read_end)
            os.write(write_end, framed([b"{}"]))
            os.close(write_end)
        _, err = worker.communicate()
        channel.close()
        assert ours.recv(100) == b""
    assert (worker.returncode, err) == (0, "")


def test_an_lb_that_has_gone_is_no_error() -> None:
    ours, channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.close()
    with channel:
        environment = {"LB_CHANNEL": str(channel.fileno())}
        say_ready(environment)
        assert environment == {}
        assert not channel.get_inheritable()


def test_without_lb_nothing_is_said() -> None:
    say_ready({"HOME": "/"})


@pytest.mark.parametrize("name", ["", "x", "-1", "99999", str(10**30)])
def test_a_channel_that_is_none_is_told(name: str) -> None:
    with pytest.raises(ProtocolError, match=f"^LB_CHANNEL={name}: not a socket "):
        say_ready({"LB_CHANNEL": name})


def test_a_channel_that_is_no_socket_is_told_and_left_open() -> None:
    read_end, write_end = os.pipe()
    with pytest.raises(ProtocolError, match="Socket operation on non-socket"):
        say_ready({"LB_CHANNEL": str(write_end)})
    os.close(write_end)
    os.close(read_end)


@pytest.mark.parametrize("way", WAYS)
def test_another_version_of_the_pipe_protocol_is_refused(way: str, tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WAYS[way])
    ended = run_worker([script], [framed([b"{}"])], environment={"LB_PIPES": "2"})
    assert ended.out == ""
    assert (
        "LB_PIPES=2: lb writes version 2 of the pipe protocol, this worker's trade_balancer reads version 1"
        in ended.err
    )
    if not way.startswith(("batches", "records")):
        assert ended.code == 76
        assert "Traceback" not in ended.err
