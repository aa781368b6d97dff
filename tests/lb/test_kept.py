"""The document that whoever comes after a kill begins with: there is a whole one at any moment, and no other is
believed. What is another process's is left alone."""

from __future__ import annotations

import os
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.handover import HandOverRefused, kept, store
from lb.handover.kept import HALF_BYTES, Kept

DOCUMENTS = [{"n": number, "text": "x" * number * 37} for number in range(5)]


@pytest.fixture
def document() -> Iterator[Kept]:
    kept = Kept()
    yield kept
    kept.close()


def test_the_newest_is_read_also_by_another_process(document: Kept) -> None:
    for content in DOCUMENTS:
        document.write(content)
        assert kept.read(document.fileno()) == content
    other = Kept(os.dup(document.fileno()))
    other.write(DOCUMENTS[0])
    assert kept.read(document.fileno()) == DOCUMENTS[0]
    other.close()


def test_one_that_was_wiped_is_none(document: Kept) -> None:
    document.write(DOCUMENTS[1])
    document.write(DOCUMENTS[2])
    document.wipe()
    with pytest.raises(HandOverRefused):
        kept.read(document.fileno())


def test_what_is_no_text_leaves_the_one_before(document: Kept) -> None:
    """How Python shows a word of the command line that is not UTF-8."""
    document.write(DOCUMENTS[1])
    with pytest.raises(OSError, match="UTF-8"):
        document.write({"words": [os.fsdecode(b"/srv/caf\xe9")]})
    assert kept.read(document.fileno()) == DOCUMENTS[1]


@given(written=st.integers(0, 300), times=st.integers(1, 4))
def test_a_kill_amid_the_writing_leaves_the_one_before(written: int, times: int) -> None:
    """Of a newer one, only the first bytes have come."""
    torn, whole = Kept(), Kept()
    for content in DOCUMENTS[:times]:
        torn.write(content)
        whole.write(content)
    whole.write(DOCUMENTS[4])
    offset = (times + 1) % 2 * HALF_BYTES
    os.pwrite(torn.fileno(), os.pread(whole.fileno(), written, offset), offset)
    whole_bytes = kept._HEADER.size + len(orjson.dumps(DOCUMENTS[4]))
    expected = DOCUMENTS[4] if written >= whole_bytes else DOCUMENTS[times - 1]
    assert kept.read(torn.fileno()) == expected
    torn.close()
    whole.close()


@given(at=st.integers(0, 60), bit=st.integers(0, 7))
def test_any_damage_is_seen(at: int, bit: int) -> None:
    document = Kept()
    document.write({"a": "b" * 40})
    place = HALF_BYTES + at
    before = os.pread(document.fileno(), 1, place)
    os.pwrite(document.fileno(), bytes([before[0] ^ 1 << bit]), place)
    if 12 <= at < 16:  # padding
        assert kept.read(document.fileno()) == {"a": "b" * 40}
    else:
        with pytest.raises(HandOverRefused):
            kept.read(document.fileno())
    document.close()


def test_what_is_no_document_is_refused(document: Kept) -> None:
    with pytest.raises(HandOverRefused):
        kept.read(document.fileno())
    with pytest.raises(OSError, match="longer than"):
        document.write({"a": "x" * HALF_BYTES})
    read_fd, write_fd = os.pipe()
    with pytest.raises(HandOverRefused):
        kept.read(read_fd)
    os.close(read_fd)
    os.close(write_fd)


@pytest.mark.parametrize(
    ("environment", "taken"),
    [
        ({}, {}),
        ({"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "lb-pump"}, {}),
        ({"LISTEN_FDS": "one", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "lb-pump"}, {}),
    ],
)
def test_what_is_not_for_this_process_is_left_alone(environment: dict[str, str], taken: dict[str, list[int]]) -> None:
    environment["OTHER"] = "stays"
    assert store.take(environment) == taken
    assert environment == {"OTHER": "stays"}, "workers are told of nothing"
