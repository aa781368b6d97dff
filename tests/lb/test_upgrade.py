"""The upgrade without a socket: what is asked, which answers are taken, and what the others are called."""

from __future__ import annotations

import base64
import hashlib
import itertools
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.endpoint import Endpoint
from lb.errors import ConnectFailed
from lb.feed.session.answer import MAX_HEAD_BYTES
from lb.feed.session.upgrade import Upgrade

NONCE = b"the sample nonce"  # RFC 6455 section 1.3
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
NOW_S = 1_700_000_000.0
AGREED = (
    b"HTTP/1.1 101 Switching Protocols\r\nServer: nginx\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Accept: " + ACCEPT.encode() + b"\r\n\r\n"
)


def upgrade(url: str = "ws://feed.example/stocks") -> Upgrade:
    return Upgrade(Endpoint.parse(url), NONCE, NOW_S)


def answered(*pieces: bytes) -> bytes | None:
    """What stands behind the answer, once it is whole."""
    asked = upgrade()
    return next((early for early in map(asked.receive, pieces) if early is not None), None)


def refusal(answer: bytes) -> ConnectFailed:
    with pytest.raises(ConnectFailed) as caught:
        answered(answer, b"")
    return caught.value


def test_the_samples_of_the_rfc_are_those_of_this_test() -> None:
    assert base64.b64encode(NONCE).decode() == KEY
    digest = hashlib.sha1(KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    assert base64.b64encode(digest).decode() == ACCEPT


@pytest.mark.parametrize(
    ("url", "target", "host"),
    [
        ("ws://feed.example/stocks", "/stocks", "feed.example"),
        ("ws://feed.example", "/", "feed.example"),
        ("ws://feed.example:80/x", "/x", "feed.example"),
        ("ws://feed.example:8080/x", "/x", "feed.example:8080"),
        ("wss://feed.example:443/x", "/x", "feed.example"),
        ("wss://feed.example:80/x", "/x", "feed.example:80"),
        ("ws://feed.example/stocks;x=1?y=2;z", "/stocks;x=1?y=2;z", "feed.example"),
        ("ws://feed.example?y=2", "/?y=2", "feed.example"),
        ("ws://[::1]:8080/", "/", "[::1]:8080"),
        ("ws://[fe80::1%25eth0]/", "/", "[fe80::1]"),
    ],
)
def test_what_is_asked_for(url: str, target: str, host: str) -> None:
    first, *headers = upgrade(url).request().decode("ascii").split("\r\n")
    assert first == f"GET {target} HTTP/1.1"
    assert f"Host: {host}" in headers
    assert f"Sec-WebSocket-Key: {KEY}" in headers
    assert headers[-2:] == ["", ""]


@given(cuts=st.lists(st.integers(0, len(AGREED) + 20)), early=st.binary(max_size=20))
def test_an_answer_in_any_pieces_is_taken_and_nothing_behind_it_is(cuts: list[int], early: bytes) -> None:
    asked, taken = upgrade(), b""
    whole = AGREED + early
    edges = sorted({0, *(min(cut, len(whole)) for cut in cuts), len(whole)})
    for begin, end in itertools.pairwise(edges):
        answer = asked.receive(whole[begin:end])
        if answer is not None:
            taken = answer + whole[end:]
            break
    assert taken == early


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((b"101", b"200"), "HTTP status 200"),
        ((b"HTTP/1.1", b"ICY"), "the answer is not HTTP"),
        ((b"Upgrade: websocket", b"Upgrade: h2c"), "does not name the websocket protocol"),
        ((b"Connection: upgrade", b"Connection: close"), "does not name the websocket protocol"),
        ((b"Connection: upgrade\r\n", b""), "does not name the websocket protocol"),
        ((b"s3pP", b"s3pp"), "a wrong Sec-WebSocket-Accept"),
        ((b"Server: nginx", b"Sec-WebSocket-Extensions: permessage-deflate"), "that was not asked for"),
        ((b"Server: nginx", b"Sec-WebSocket-Protocol: chat"), "that was not asked for"),
        ((b"Server: nginx", b"Server nginx"), "malformed header"),
        ((b"Server: nginx", b"Server: nginx\r\n folded"), "malformed header"),
    ],
)
def test_an_answer_that_is_nearly_right_is_refused(change: tuple[bytes, bytes], said: str) -> None:
    answer = AGREED.replace(*change)
    assert answer != AGREED
    assert said in str(refusal(answer))


@pytest.mark.parametrize(
    "change",
    [
        (b"Connection: upgrade", b"Connection: keep-alive,Upgrade"),
        (b"Connection: upgrade", b"connection: keep-alive\r\nCONNECTION:upgrade"),
        (b"Upgrade: websocket", b"upgrade:WebSocket"),
        (b"Server: nginx", b"Set-Cookie: a/b=1"),
        (b"Server: nginx", b"X: \xff\xfe"),
        (b" Switching Protocols", b""),
        (b" Switching Protocols", b" "),
        (b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
def test_an_answer_that_is_right_in_other_words_is_taken(change: tuple[bytes, bytes]) -> None:
    assert upgrade().receive(AGREED.replace(*change)) == b""


@pytest.mark.parametrize("answer", [b"HTTP/1.1 101 ", b"x" * 10, b""])
def test_an_end_before_the_answers_end_is_told(answer: bytes) -> None:
    assert "the connection was closed before the end of an HTTP answer" in str(refusal(answer))


def test_an_endless_answer_is_refused_at_the_limit() -> None:
    asked = upgrade()
    assert asked.receive(b"HTTP/1.1 101 X\r\n" + b"a: b\r\n" * 100) is None
    with pytest.raises(ConnectFailed, match=f"over {MAX_HEAD_BYTES} bytes came"):
        asked.receive(b"x" * MAX_HEAD_BYTES)


def test_the_body_of_a_refusal_is_not_waited_for() -> None:
    assert "HTTP status 502" in str(refusal(b"HTTP/1.1 502 Bad\r\nContent-Length: 99999999999\r\n\r\nx"))


@pytest.mark.parametrize(
    ("head", "least_delay_s", "said"),
    [
        ("404 Not Found", 10, "HTTP status 404 Not Found"),
        ("401 Unauthorized", 10, "HTTP status 401"),
        ("302 Found\r\nLocation: /x\r\nSet-Cookie: a/b=1", 10, "a redirection to '/x', HTTP status 302"),
        ("429 Slow Down", 0, "HTTP status 429"),
        ("503 Busy", 0, "HTTP status 503"),
        ("503 Busy\r\nRetry-After: 15", 15, "Retry-After 15 s"),
        ("429 Busy\r\nretry-after:7", 7, "Retry-After 7 s"),
        ("404 Gone\r\nRetry-After: 3", 10, "Retry-After 3 s"),
        ("503 Busy\r\nRetry-After: " + formatdate(NOW_S + 30, usegmt=True), 30, "Retry-After 30 s"),
        ("503 Busy\r\nRetry-After: " + formatdate(NOW_S - 30, usegmt=True), 0, "Retry-After 0 s"),
        ("503 Busy\r\nRetry-After: 99999999", 600, "Retry-After 99999999 s"),
        ("503 Busy\r\nRetry-After: soon", 0, "HTTP status 503"),
    ],
)
def test_a_refusal_says_how_long_to_wait(head: str, least_delay_s: float, said: str) -> None:
    error = refusal(f"HTTP/1.1 {head}\r\n\r\n".encode())
    assert (error.retry, error.least_delay_s) == (True, least_delay_s)
    assert said in str(error)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_by_name(answer: bytes) -> None:
    assert "upgrade of ws://feed.example" in str(refusal(b"HTTP/1.1 101 X\r\n" + answer)), "none knows the key"
