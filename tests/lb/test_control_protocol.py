"""The control socket's lines: whatever the bytes and their cuts, the same requests; nothing is kept without a bound."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.control.protocol import LONGEST_LINE_BYTES, Fault, Lines, Request, error_line, event_line, result_line
from lb.control.protocol import Refusal as Refused


def taken(lines: Lines) -> list[Request | Fault]:
    found = []
    while (one := lines.take()) is not None:
        found.append(one)
    return found


def only_fault(data: bytes) -> Fault:
    lines = Lines()
    lines.receive(data)
    (fault,) = taken(lines)
    assert isinstance(fault, Fault)
    return fault


IDS = st.none() | st.integers(-(2**53), 2**53) | st.text(max_size=20)
REQUESTS = st.builds(
    Request, IDS, st.text(max_size=20), st.dictionaries(st.sampled_from(["slot", "level", "x"]), st.integers(0, 9))
)


@given(st.lists(REQUESTS, max_size=5), st.lists(st.integers(0, 600), max_size=10))
def test_the_cuts_of_the_reads_change_nothing(requests: list[Request], cuts: list[int]) -> None:
    text = b"".join(
        json.dumps({"v": 1, "id": request.id, "verb": request.verb, **request.arguments}).encode() + b"\n"
        for request in requests
    )
    lines, found = Lines(), []
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    for begin, end in itertools.pairwise(bounds):
        lines.receive(text[begin:end])
        found += taken(lines)
    assert found == requests


@given(st.binary(max_size=300))
def test_no_bytes_are_an_error_of_ours(data: bytes) -> None:
    lines = Lines()
    lines.receive(data + b"\n")
    taken(lines)


@pytest.mark.parametrize(
    ("line", "name", "is_last"),
    [(b"hello", "malformed", True), (b"[]", "malformed", True), (b"", "malformed", True), (b"\xff", "malformed", True),
     (b"[" * 5000, "malformed", True), (b'{"verb":"status"}', "version", True),
     (b'{"v":2,"verb":"status"}', "version", True), (b'{"v":true,"verb":"status"}', "version", True),
     (b'{"v":1,"id":1.5,"verb":"status"}', "malformed", True), (b'{"v":1,"id":7}', "malformed", False),
     (b'{"v":1,"id":7,"verb":7}', "malformed", False)],
)  # fmt: skip
def test_what_is_no_request_is_named(line: bytes, name: str, is_last: bool) -> None:
    fault = only_fault(line + b"\n")
    assert (fault.refusal.name, fault.is_last) == (name, is_last)


def test_a_line_without_an_end_is_refused_as_soon_as_it_is_too_long() -> None:
    lines = Lines()
    lines.receive(b"x" * LONGEST_LINE_BYTES)
    assert taken(lines) == []
    lines.receive(b"x")
    (fault,) = taken(lines)
    assert isinstance(fault, Fault)
    assert (fault.refusal.name, fault.is_last) == ("too-long", True)


def test_what_lb_says_is_a_line_of_json_with_the_request_s_id() -> None:
    assert json.loads(result_line(7, {"a": [1]})) == {"v": 1, "id": 7, "result": {"a": [1]}}
    assert json.loads(error_line("x", Refused("n", "t"))) == {"v": 1, "id": "x", "error": {"name": "n", "text": "t"}}
    line = event_line(None, {"text": "a\nb"})
    assert json.loads(line) == {"v": 1, "id": None, "event": {"text": "a\nb"}}
    assert line.count(b"\n") == 1
