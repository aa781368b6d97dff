"""A session through an HTTP proxy: what it is asked, what it may answer, and what it never learns."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from harness import SOON, Authority, Feed, Lb, message

from lb.endpoint import Endpoint
from lb.errors import ConnectFailed, UsageError
from lb.feed.session.tunnel import Tunnel
from lb.proxy import Proxy

RECORD = b'{"ev":"T","sym":"A"}'
TIMEOUT_S = 20.0


@dataclass
class Relay:
    """A proxy for CONNECT: answers with `answer`, and copies both ways where that is a 200."""

    answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n"
    heads: list[bytes] = field(default_factory=list)
    port: int = 0

    @contextmanager
    def running(self) -> Iterator[Relay]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            thread = threading.Thread(target=self._serve, args=(listener,))
            thread.start()
            try:
                yield self
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                thread.join()

    def _serve(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                with listener.accept()[0] as client:
                    client.settimeout(TIMEOUT_S)
                    self._relay(client)

    def _relay(self, client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        self.heads.append(head)
        client.sendall(self.answer)
        if b" 200 " not in self.answer:
            return
        host, _, port = head.split()[1].decode().rpartition(":")
        with socket.create_connection((host.strip("[]"), int(port)), timeout=TIMEOUT_S) as server:
            back = threading.Thread(target=copy, args=(server, client))
            back.start()
            copy(client, server)
            back.join()


def copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("tls", [False, True])
def test_a_session_goes_through_it(authority: Authority, tls: bool) -> None:
    context = authority.server_context("127.0.0.1") if tls else None
    with Relay().running() as relay, Feed(tls=context) as feed:
        options = ("--proxy", f"http://user:p%40ss@127.0.0.1:{relay.port}", "--ca-file", authority.ca_file)
        with Lb(feed.url, 1, *options) as lb, feed.session() as peer:
            peer.say(message([RECORD]))
            assert lb.await_records(1).pipes == {0: [RECORD]}
            assert lb.stop().exit_code == 0
            assert "p@ss" not in lb.log
        (head,) = relay.heads
        first, *headers = head.decode().split("\r\n")
        assert first == f"CONNECT 127.0.0.1:{feed.port} HTTP/1.1"
        assert f"Host: 127.0.0.1:{feed.port}" in headers
        assert f"Proxy-Authorization: Basic {base64.b64encode(b'user:p@ss').decode()}" in headers


def test_the_environments_is_used_where_it_is_asked_for_only() -> None:
    with Relay().running() as relay, Feed() as feed:
        environment = {"http_proxy": f"http://127.0.0.1:{relay.port}"}
        with Lb(feed.url, 1, environment=environment) as lb, feed.session():
            lb.await_line("session open")
        assert relay.heads == []
        with Lb(feed.url, 1, "--proxy", "env", environment=environment) as lb, feed.session():
            lb.await_line("session open")
        assert len(relay.heads) == 1
        environment |= {"no_proxy": "127.0.0.1"}
        with Lb(feed.url, 1, "--proxy", "env", environment=environment) as lb, feed.session():
            lb.await_line("session open")
        assert len(relay.heads) == 1


def test_its_refusal_is_told_with_its_name() -> None:
    answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n"
    with Relay(answer).running() as relay, Feed() as feed:
        with Lb(feed.url, 1, "--proxy", f"http://127.0.0.1:{relay.port}", constants=SOON) as lb:
            reason = lb.await_line("no session")["reason"]
        expected = f"proxy 127.0.0.1:{relay.port} answers CONNECT 127.0.0.1:{feed.port} with HTTP status 407"
        assert reason.startswith(expected)
        assert not feed.has_caller()


def tunnel() -> Tunnel:
    return Tunnel(Proxy("proxy.example", 3128), Endpoint.parse("wss://feed.example/stocks"), 0.0)


def test_bytes_behind_its_answer_are_nobodys() -> None:
    assert tunnel().receive(b"HTTP/1.0 200 OK\r\n\r\n") == b""
    with pytest.raises(ConnectFailed, match="3 bytes came behind the answer"):
        tunnel().receive(b"HTTP/1.0 200 OK\r\n\r\nabc")


def test_an_ipv6_feed_stands_in_brackets() -> None:
    asked = Tunnel(Proxy("proxy.example", 3128), Endpoint.parse("wss://[::1]/stocks"), 0.0).request()
    assert asked.startswith(b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n")


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://proxy.example:3128", Proxy("proxy.example", 3128)),
        ("HTTP://proxy.example/", Proxy("proxy.example", 80)),
        ("http://[::1]:8080", Proxy("::1", 8080)),
    ],
)
def test_forms_of_its_url(url: str, proxy: Proxy) -> None:
    assert Proxy.parse(url) == proxy


@pytest.mark.parametrize(
    "url", ["proxy.example:3128", "https://secret@x", "http://secret@x/path", "http://secret@x:0", ""]
)
def test_other_urls_are_refused_without_their_words(url: str) -> None:
    with pytest.raises(UsageError, match="--proxy") as caught:
        Proxy.parse(url)
    assert "secret" not in str(caught.value)
