"""A server that takes the connection and says nothing, or says it byte by byte."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator

import pytest
from harness import SOON, Authority, Lb


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        yield listener


def url_of(listener: socket.socket) -> str:
    return f"wss://127.0.0.1:{listener.getsockname()[1]}/stocks"


def test_one_that_is_silent_is_given_up_and_the_next_is_begun(listener: socket.socket) -> None:
    limits = {"lb.feed.session.limits.STEP_TIMEOUT_S": 0.3}
    with Lb(url_of(listener), 1, "--tls", "user", constants=SOON | limits) as lb:
        for _ in range(2):
            with listener.accept()[0] as silent:
                assert "no answer within 0.3 s" in lb.await_line("no session")["reason"]
                assert silent.recv(65536).startswith(b"\x16\x03"), "no client hello"
        assert lb.stop().exit_code == 0


def test_one_in_single_bytes_is_awaited(listener: socket.socket, authority: Authority) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = authority.server_context("127.0.0.1").wrap_bio(incoming, outgoing, server_side=True)

    def until_done(step: Callable[[], object]) -> object:
        while True:
            try:
                done, is_done = step(), True
            except ssl.SSLWantReadError:
                is_done = False
            for byte in outgoing.read():
                sock.send(bytes([byte]))
            if is_done:
                return done
            incoming.write(sock.recv(65536))

    with Lb(url_of(listener), 1, "--tls", "user", "--ca-file", authority.ca_file) as lb, listener.accept()[0] as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        until_done(server.do_handshake)
        request = until_done(lambda: server.read(65536))
        assert isinstance(request, bytes)
        assert request.startswith(b"GET /stocks HTTP/1.1\r\n")
        assert lb.stop().exit_code == 0
