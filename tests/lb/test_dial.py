"""Addresses of a name are tried side by side (RFC 8305)."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from lb.errors import ConnectFailed
from lb.feed.session import limits
from lb.feed.session.dial import Address, Dialer, in_order, race

V4, V6 = socket.AF_INET, socket.AF_INET6


def address(family: int, where: tuple[object, ...]) -> Address:
    return Address(family, socket.SOCK_STREAM, 0, where)


def named(family: int, *names: str) -> list[Address]:
    return [address(family, (name, 80)) for name in names]


def test_families_take_turns_beginning_with_the_resolvers_first() -> None:
    six, four = named(V6, "a", "b", "c"), named(V4, "x")
    assert in_order([*six, *four], None) == [six[0], four[0], six[1], six[2]]
    assert in_order([*four, *six], None) == [four[0], *six]


def test_what_worked_last_comes_first_if_it_is_still_there() -> None:
    six, four = named(V6, "a", "b"), named(V4, "x", "y")
    assert in_order([*six, *four], four[1]) == [four[1], six[0], four[0], six[1]]
    assert in_order(six, four[1]) == six


def test_an_address_named_twice_is_tried_once() -> None:
    assert in_order(named(V4, "x", "x"), None) == named(V4, "x")
    assert in_order([], None) == []


@contextmanager
def silent_address() -> Iterator[Address]:
    """One that answers nothing, as a router that drops packets: a listener whose queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        where = listener.getsockname()
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(where)
        yield address(V4, where)


@contextmanager
def refusing_address() -> Iterator[Address]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # bound, so that nobody else gets it, and not listening
        yield address(V4, sock.getsockname())


def test_eight_addresses_that_do_not_answer_cost_no_more_than_their_turns() -> None:
    """One after the other they would take 80 s, longer than an attempt may."""
    with ExitStack() as stack:
        dead = [stack.enter_context(silent_address()) for _ in range(8)]
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        alive = address(V4, listener.getsockname())
        sock, winner = race([*dead, alive], "feed:80")
        with sock:
            assert winner == alive
            assert sock.getpeername() == listener.getsockname()


def test_a_refusal_is_followed_by_the_next_at_once() -> None:
    with ExitStack() as stack:
        refusing = [stack.enter_context(refusing_address()) for _ in range(3)]
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        sock, winner = race([*refusing, address(V4, listener.getsockname())], "feed:80")
        with sock:
            assert winner.where == listener.getsockname()


def test_each_address_is_told_with_what_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STEP_TIMEOUT_S", 0.2)
    with silent_address() as silent, refusing_address() as refusing:
        with pytest.raises(ConnectFailed) as caught:
            race([silent, refusing, address(V6, ("::ffff:0:0:1", 1, 0, 0))], "feed:80")
        assert str(caught.value).startswith("no connection to feed:80: ")
        assert "127.0.0.1: no answer within 0.2 s" in str(caught.value)
        assert "127.0.0.1: Connection refused" in str(caught.value)
        assert "::ffff:0:0:1: " in str(caught.value)


def test_a_name_with_both_families_reaches_a_feed_on_either() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        dialer = Dialer("localhost", port)
        for _ in range(2):
            with dialer.dial() as sock:
                assert sock.gettimeout() == limits.STEP_TIMEOUT_S
                assert sock.getpeername()[1] == port
