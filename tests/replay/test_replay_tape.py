"""Tapes: messages and their times, the cutting of records, and files of them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from feed_client import message, record, unhurried
from hypothesis import given
from hypothesis import strategies as st

from lb.replay.errors import InputError, UsageError
from lb.replay.files import read_tape
from lb.replay.tape import Message, Tape, records_of

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8) | st.just('},{"ev":'),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["ev", "t", "é", '"']), inner, max_size=3)
    ),
    max_leaves=8,
)
records = st.dictionaries(st.sampled_from(["ev", "sym", "x"]), values, max_size=3)
spaces = st.sampled_from(["", " ", "\n\t "])


@unhurried
@given(st.lists(st.tuples(records, spaces, spaces), max_size=5), spaces, st.booleans())
def test_records_are_cut_exactly(parts: list[tuple[dict[str, Any], str, str]], space: str, compact: bool) -> None:
    separators = (",", ":") if compact else (" , ", " : ")
    texts = [json.dumps(value, separators=separators, ensure_ascii=compact) for value, _, _ in parts]
    body = ",".join(before + text + after for text, (_, before, after) in zip(texts, parts, strict=True))
    cut = records_of(f"{space}[{space}{body}{space}]".encode())
    assert [text.decode() for text, _ in cut] == texts
    assert [value for _, value in cut] == [value for value, _, _ in parts]


def test_a_message_is_described() -> None:
    text = b'[{"ev":"T","t":1781622376036},{"ev":"LULD","t":1781622376036000001},{"x":1}]'
    assert Message.parse(text) == Message(text, 3, 1_781_622_376_036_000_001, frozenset({"T", "LULD", ""}))


@pytest.mark.parametrize("time", [b"true", b"-1", b"0", b'"1781622376036"', b"1.5", b"null"])
def test_what_is_no_time_is_none(time: bytes) -> None:
    assert Message.parse(b'[{"t":%s}]' % time).time_ns is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b'{"ev":"T"}', "not a JSON array"),
        (b'[{"ev":"T"}', "not JSON"),
        (b"[{}]]", "not JSON"),
        (b'[{"ev":"T"},7]', "element 2 of the array is not an object"),
    ],
)
def test_bad_messages_are_named(text: bytes, fault: str) -> None:
    with pytest.raises(InputError, match=f"^message 2: {fault}"):
        Tape.of([b"[]", text])


def test_due_times_never_decrease() -> None:
    base_ms = 1_781_622_376_000
    times_ms = [None, base_ms, base_ms + 5, base_ms + 3, None, base_ms + 9]
    tape = Tape.of(b"[{}]" if time is None else message(record(1, time_ms=time)) for time in times_ms)
    assert [due_ns // 1_000_000 for due_ns in tape.due_ns] == [0, 0, 5, 5, 5, 9]
    assert tape.duration_ns > tape.due_ns[-1]


def test_an_empty_tape() -> None:
    tape = Tape.of([])
    assert tape.record_count == 0
    assert tape.duration_ns > 0


LINES = [message(record(1), record(2)), message(record(3))]
TEXT = LINES[0] + b"\n\n" + LINES[1] + b"\r\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", TEXT),
        ("a.jsonl.gz", gzip.compress(TEXT, mtime=0)),
        ("a.zst", zstandard.compress(TEXT)),
        ("two-frames.jsonl.zst", zstandard.compress(TEXT[:20]) + zstandard.compress(TEXT[20:])),
    ],
)
def test_files_are_read(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    tape = read_tape([tmp_path / name, tmp_path / name])
    assert tape.messages == LINES * 2
    assert tape.records_total == [2, 3, 5, 6]


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.jsonl", b"[]\n\n5\n", ":3: not a JSON array"),
        ("a.jsonl.gz", gzip.compress(TEXT, mtime=0)[:-9], ": cannot be decompressed: "),
        ("a.jsonl.gz", b"no gzip", ": cannot be decompressed: "),
        ("a.jsonl.zst", zstandard.compress(TEXT)[:-1], ": cannot be decompressed: the file is truncated"),
        ("a.jsonl.zst", b"no zstd", ": cannot be decompressed: "),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, content: bytes, fault: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_tape([path])
    assert str(caught.value).startswith(f"{path}{fault}")


def test_missing_file_and_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.jsonl: No such file or directory"):
        read_tape([tmp_path / "none.jsonl"])
    with pytest.raises(UsageError, match=r"unknown suffix '\.csv'; known are \.jsonl, \.gz and \.zst"):
        read_tape([tmp_path / "trades.csv"])


def test_the_real_recordings_are_read(data: Path) -> None:
    opening = read_tape([data / "polygon_trades_open_20131218.jsonl.zst"])
    assert (len(opening.messages), opening.record_count, opening.events) == (1_000, 32_444, {"T"})
    quotes = read_tape([data / "polygon_xq_20230726.jsonl.zst"])
    assert (len(quotes.messages), quotes.record_count, quotes.events) == (9_860, 10_795, {"XQ"})
    read_tape([data / "polygon_wire_samples.jsonl"])
