"""The URL of the feed, taken apart; topics; and the tree of errors."""

from __future__ import annotations

import pytest

from lb.config import topics_of
from lb.endpoint import Endpoint
from lb.errors import LbError, UsageError


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("wss://socket.massive.com/stocks", Endpoint("socket.massive.com", 443, True, "/stocks")),
        ("ws://localhost/stocks", Endpoint("localhost", 80, False, "/stocks")),
        ("ws://localhost:8080", Endpoint("localhost", 8080, False, "/")),
        ("ws://localhost?x=/y", Endpoint("localhost", 80, False, "/", "x=/y")),
        ("WSS://Localhost:/Stocks", Endpoint("localhost", 443, True, "/Stocks")),
        ("wss://127.0.0.1:65535/a;p=1/b?c=d?", Endpoint("127.0.0.1", 65535, True, "/a;p=1/b", "c=d?")),
        ("wss://[::1]:8443/futures/cme", Endpoint("::1", 8443, True, "/futures/cme")),
        ("ws://[fe80::1]/", Endpoint("fe80::1", 80, False, "/")),
        ("ws://[fe80::1%25eth0]/", Endpoint("fe80::1%eth0", 80, False, "/")),
        ("ws://[fe80::1%25eth0%2e1]/", Endpoint("fe80::1%eth0.1", 80, False, "/")),
        ("ws://[fe80::1%eth0]/", Endpoint("fe80::1%eth0", 80, False, "/")),
        ("ws://example.com./", Endpoint("example.com.", 80, False, "/")),
        (f"ws://{'a' * 63}.b/", Endpoint(f"{'a' * 63}.b", 80, False, "/")),
        ("ws://bücher.example/", Endpoint("bücher.example", 80, False, "/")),
    ],
)
def test_host_port_path_and_query(url: str, endpoint: Endpoint) -> None:
    assert Endpoint.parse(url) == endpoint


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "begins with neither ws:// nor wss://"),
        ("socket.massive.com", "begins with neither"),
        ("//h/", "begins with neither"),
        ("http://h/", "begins with neither"),
        ("wss:h", "begins with neither"),
        ("wss:///stocks", "names no host"),
        ("ws://:80/", "names no host"),
        ("ws://h:65536/", "port is no number from 1 to 65535"),
        ("ws://h:-1/", "port is no number"),
        ("ws://h:port/", "port is no number"),
        ("ws://h:0/", "port is no number"),
        ("ws://h:٣/", "port is no number"),
        ("ws://::1/", "names no host"),
        ("ws://fe80::1/", "an IPv6 address stands in brackets"),
        ("ws://[::1/", "brackets hold no IPv6 address"),
        ("ws://[]/", "brackets hold no IPv6 address"),
        ("ws://[localhost]/", "brackets hold no IPv6 address"),
        ("ws://[::1]80/", "brackets hold no IPv6 address"),
        ("ws://[fe80::1%25]/", "brackets hold no IPv6 address"),
        ("ws://user@h/", "user name or password"),
        ("ws://user:word@h/", "user name or password"),
        ("ws://h/a b", "white space"),
        ("ws://h/\r\nX: y", "can't be printed"),
        ("ws://h\udcff/", "can't be printed"),
        ("ws://h/ä", "not ASCII"),
        ("ws://h/#f", "fragment"),
        ("ws://a..b/", "a part that is empty or longer than 63 letters"),
        ("ws://./", "a part that is empty"),
        (f"ws://{'a' * 64}.b/", "a part that is empty or longer than 63 letters"),
        (f"ws://{'ab.' * 100}/", "more than 253"),
    ],
)
def test_anything_else_is_refused(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=r"^URL") as refusal:
        Endpoint.parse(url)
    assert said in str(refusal.value)


def test_a_query_is_asked_for_and_not_shown() -> None:
    endpoint = Endpoint.parse("wss://[::1]/stream?token=s3cret")
    assert endpoint.target == "/stream?token=s3cret"
    assert endpoint.url == "wss://[::1]:443/stream"
    assert "s3cret" not in repr(endpoint)


def test_topics_are_parted_at_commas_and_there_must_be_one() -> None:
    assert topics_of(["T.A, Q.*,", "AM.*"]) == ("T.A", "Q.*", "AM.*")
    for params in ([], [""], [", ,"]):
        with pytest.raises(UsageError, match="--subscribe names no topic"):
            topics_of(params)


def test_the_tree_of_errors_is_what_its_file_draws() -> None:
    drawn = {}
    for branch in _all_of(LbError):
        if branch.__module__ != LbError.__module__:
            continue  # another file's own kind of one of these
        drawn[branch.__name__] = (branch.exit_code, branch.retry)
    assert drawn == {
        "UsageError": (64, False),
        "KeyUnreadable": (66, False),
        "Unavailable": (69, False),
        "InternalError": (70, False),
        "SessionError": (70, True),
        "Refused": (77, False),
        "OnceOver": (69, False),
        "ConnectFailed": (70, True),
        "SessionLost": (70, True),
        "FeedClosed": (70, True),
        "SessionLetGo": (70, True),
        "FeedSilent": (70, True),
        "KernelTlsFailed": (70, True),
        "ProtocolError": (70, True),
        "Evicted": (70, True),
        "Superseded": (70, True),
    }


def _all_of(error: type[LbError]) -> list[type[LbError]]:
    return [descendant for child in error.__subclasses__() for descendant in (child, *_all_of(child))]
