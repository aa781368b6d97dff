"""What is kept of a FIX session, against a dictionary."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trade_balancer.books.fix.store import SIZE, SLOT_BYTES, SLOTS, Store
from trade_balancer.errors import InputError


def message(kind: str, filling: int) -> bytes:
    return b"8=FIX.4.4\x019=100\x0135=%s\x0158=%s\x0110=000\x01" % (kind.encode(), b"x" * filling)


Sent = tuple[str, int, int]
SENT = st.tuples(st.sampled_from("YWXj"), st.integers(1, 20), st.sampled_from([1, 10, 450, 500, 5000]))
"""Type, how many of them, and how long each is."""
STEPS = st.one_of(SENT, st.sampled_from(["reopened", "reset", "received"]))


@settings(max_examples=40)
@given(st.lists(STEPS, max_size=30), st.tuples(st.integers(0, 400), st.integers(0, 400)))
def test_numbers_and_the_last_answers_are_there_again(steps: list[Sent | str], wanted: tuple[int, int]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "session"
        store = Store(path)
        sent, received, kept = 1, 1, dict[int, bytes]()
        for step in steps:
            match step:
                case "reopened":
                    store = Store(path)  # the other was not closed: a process that was killed closes nothing
                case "reset":
                    store.reset()
                    sent, received, kept = 1, 1, {}
                case "received":
                    store.incr_next_target_msg_seq_num()
                    received += 1
                case (str(kind), int(count), int(filling)):
                    text = message(kind, filling)
                    for number in range(sent, sent + count):
                        store.set(number, text)
                        store.incr_next_sender_msg_seq_num()
                        if kind in "Yj" and len(text) <= SLOT_BYTES - 10:
                            kept[number] = text
                    sent += count
        assert (store.next_sender_msg_seq_num(), store.next_target_msg_seq_num()) == (sent, received)
        begin, end = wanted
        last = sorted(kept)[-SLOTS:]
        assert store.get(begin, end) == [kept[number] for number in last if begin <= number <= end]
        assert path.stat().st_size == SIZE


def test_when_it_has_begun_is_kept(tmp_path: Path) -> None:
    began = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    Store(tmp_path / "session").set_creation_time(began)
    store = Store(tmp_path / "session")
    assert store.get_creation_time() == began
    store.reset()
    assert store.get_creation_time() > began


def test_what_is_no_session_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"something else")
    with pytest.raises(InputError, match="no FIX session"):
        Store(other)
    assert other.read_bytes() == b"something else"
    other.write_bytes(b"something else".ljust(SIZE))
    with pytest.raises(InputError, match="no FIX session"):
        Store(other)
    with pytest.raises(InputError, match="No such file"):
        Store(tmp_path / "nowhere" / "session")
