"""What HTTP clients may do to the process that serves metrics and page, and what they get for it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Lb, inline, lb_environment
from harness.served import Served
from hypothesis import given
from hypothesis import strategies as st

from trade_balancer.page.request import BadRequest, parse

NO_FEED = "ws://127.0.0.1:1/stocks"
WAITING = inline("import os, sys; os.read(int(sys.argv[1]), 1)")
HASTY = """
import sys
from trade_balancer.page import connection, listening, program
connection.ASK_S, connection.READ_S, connection.MOST_CLIENTS, connection.MOST_WATCHING = 0.3, 0.3, 6, 3
connection._UNSENT_BYTES, listening._SEND_BUFFER_BYTES = 1000, 1000
sys.exit(program.main())
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """By a process with little patience and little room; lb tells its status 100 times a second."""
    path = tmp_path_factory.mktemp("lb") / "lb.sock"
    constants = {"lb.control.server.PUSH_S": 0.01}
    with Lb(NO_FEED, 1, "--control", str(path), worker=WAITING, constants=constants) as lb:
        lb.await_line("worker started")
        command = [sys.executable, "-c", HASTY, str(path), "127.0.0.1:0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=lb_environment()) as process:
            assert process.stdout is not None
            yield Served(process.stdout.readline().removeprefix("listening on ").strip())
            process.terminate()


@contextlib.contextmanager
def connected(served: Served) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as client:
        yield client


def said(client: socket.socket) -> bytes:
    """All that comes until the connection ends."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while data := client.recv(1 << 16):
            parts.append(data)
    return b"".join(parts)


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", 413),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
        (b"a" * 100_000, 431),
    ],
)
def test_what_is_no_request_is_answered_and_ends_the_connection(served: Served, asked: bytes, status: int) -> None:
    with connected(served) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(asked)
        assert said(client).startswith(b"HTTP/1.1 %d " % status)
    assert served.get("/healthz").status == 200


def test_only_reading_is_possible_and_only_what_is_there(served: Served) -> None:
    assert served.get("/", "POST").status == 405
    assert served.get("/", "DELETE").fields["allow"] == "GET, HEAD"
    assert served.get("/../../etc/passwd").status == 404
    assert served.get("/metrics?name=lb_up").status == 200
    head = served.get("/metrics", "HEAD")
    assert (head.status, head.text, int(head.fields["content-length"]) > 1000) == (200, "", True)


def test_a_name_that_is_not_the_machine_s_own_is_refused(served: Served) -> None:
    """Another site's page might have given its own name this address."""
    assert served.get("/metrics", Host="evil.example").status == 421
    assert [served.get("/healthz", Host=host).status for host in ("localhost:1", "127.0.0.1", "[::1]:8")] == [200] * 3


def test_the_page_may_load_nothing_but_its_own(served: Served) -> None:
    for path in ("/", "/page.js", "/metrics"):
        fields = served.get(path).fields
        assert "default-src 'none'" in fields["content-security-policy"]
        assert "unsafe" not in fields["content-security-policy"]
        assert fields["x-content-type-options"] == "nosniff"
    tag = served.get("/page.css").fields["etag"]
    assert served.get("/page.css", **{"If-None-Match": tag}).status == 304


def test_requests_of_one_connection_are_answered_in_their_order(served: Served) -> None:
    with connected(served) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
        client.sendall(b"GET /none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answers = said(client)
    assert [line.split()[1] for line in answers.splitlines() if line.startswith(b"HTTP/1.1 ")] == [b"200"] * 3 + [
        b"404"
    ]


@pytest.mark.parametrize("asked", [b"", b"GET /metrics HTTP/1.1\r\nHos", b"GET /healthz HTTP/1.0\r\n"])
def test_who_does_not_come_to_an_end_is_cut_off(served: Served, asked: bytes) -> None:
    with connected(served) as client:
        client.sendall(asked)
        assert said(client) == b""
    assert served.get("/healthz").status == 200


def watching(served: Served, stack: contextlib.ExitStack) -> tuple[socket.socket, bytes]:
    """One more who watches, or who is told that there are too many; with the status that it has got."""
    client = stack.enter_context(connected(served))
    client.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return client, client.recv(12).removeprefix(b"HTTP/1.1 ")


def test_who_does_not_read_its_news_is_cut_off_and_others_get_theirs(served: Served) -> None:
    """Three may watch: when two do not read, there is room for others again after a while."""
    with contextlib.ExitStack() as stack:
        reading, _ = watching(served, stack)
        for _ in range(2):
            assert watching(served, stack)[1] == b"200"
        while watching(served, stack)[1] == b"503":
            assert b"event: picture" in reading.recv(1 << 20)


def test_one_too_many_is_told_so_and_there_is_room_for_a_scrape_beside_all_who_watch(served: Served) -> None:
    with contextlib.ExitStack() as stack:
        assert [watching(served, stack)[1] for _ in range(3)] == [b"200"] * 3
        assert served.get("/events").status == 503
        assert served.get("/metrics").status == 200
        idle = [stack.enter_context(connected(served)) for _ in range(3)]
        with connected(served) as one_too_many:
            assert said(one_too_many).startswith(b"HTTP/1.1 503 ")
        assert len(idle) == 3
    assert served.await_answer("/healthz", 200)


@given(
    st.one_of(st.binary(max_size=300), st.binary(max_size=60).map(lambda rest: b"GET / HTTP/1.1\r\nHost: a\r\n" + rest))
)
def test_whatever_the_bytes_are_there_is_a_request_or_a_refusal(head: bytes) -> None:
    with contextlib.suppress(BadRequest):
        assert parse(head).path.startswith(("/", "*"))


def test_its_file_is_where_the_program_looks_for_it() -> None:
    files = Path(__file__).resolve().parents[2] / "trade_balancer" / "page" / "files"
    assert {path.name for path in files.iterdir()} == {"index.html", "page.css", "page.js", "theme.js", "icon.svg"}
