"""FrameCutter against the reference: the cuts of a stream never show."""

from __future__ import annotations

import pytest
from feeding import cut_streams, decoded_simply, framed
from hypothesis import given
from hypothesis import strategies as st

from trade_balancer import FrameCutter, _frames, frames


@given(cut_streams() | st.binary(max_size=99).map(lambda stream: (stream, [])), st.integers(0, 9))
def test_what_cuts_is_compiled_and_does_as_its_reference_in_python(case: tuple[bytes, list[bytes]], start: int) -> None:
    stream, _ = case
    start = min(start, len(stream))
    compiled: list[bytes] = []
    reference: list[bytes] = []
    expected = frames.cut_in_python(stream, start, reference)
    assert frames.cut is _frames.cut
    assert frames.cut(memoryview(stream), start, compiled) == frames.cut(bytearray(stream), start, None) == expected
    assert compiled == reference == decoded_simply(stream[start:])


def test_what_cuts_refuses_what_it_can_not_cut() -> None:
    for start in (-1, 6):
        with pytest.raises(ValueError, match=f"start {start} is outside of a chunk of 5 bytes"):
            frames.cut(b"12345", start, [])
    with pytest.raises(TypeError, match="records must be a list or None"):
        frames.cut(b"", 0, ())  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        frames.cut("text", 0, [])  # type: ignore[arg-type]


@given(cut_streams())
def test_any_cuts_of_any_stream_give_the_records_of_the_reference(case: tuple[bytes, list[bytes]]) -> None:
    stream, chunks = case
    cutter = FrameCutter()
    records = [record for chunk in chunks for record in cutter.cut(chunk)]
    assert records == decoded_simply(stream)
    assert cutter.records_total == len(records)
    assert cutter.bytes_total == sum(map(len, records))


@given(cut_streams())
def test_any_cuts_of_any_stream_give_all_whole_frames_as_they_are(case: tuple[bytes, list[bytes]]) -> None:
    stream, chunks = case
    cutter = FrameCutter()
    got = b"".join(b"".join(cutter.whole(chunk)) for chunk in chunks)
    records = decoded_simply(stream)
    assert got == framed(records)
    assert cutter.records_total == len(records)
    assert cutter.bytes_total == sum(map(len, records))


@given(cut_streams())
def test_what_is_missing_at_the_end_is_told_in_bytes(case: tuple[bytes, list[bytes]]) -> None:
    stream, chunks = case
    cutter = FrameCutter()
    for chunk in chunks:
        cutter.cut(chunk)
    rest = stream[len(framed(decoded_simply(stream))) :]
    if not rest:
        assert cutter.missing() is None
    elif len(rest) < 4:
        assert cutter.missing() == f"ended inside a length: got {len(rest)} of 4 bytes"
    else:
        expected_bytes = int.from_bytes(rest[:4], "little")
        assert cutter.missing() == f"ended inside a record: got {len(rest) - 4} of {expected_bytes} bytes"


def test_a_record_comes_out_with_its_last_byte_and_not_before() -> None:
    cutter = FrameCutter()
    outputs = [cutter.cut(bytes([byte])) for byte in framed([b"abc", b"", b"de"])]
    assert outputs == [[]] * 6 + [[b"abc"]] + [[]] * 3 + [[b""]] + [[]] * 5 + [[b"de"]]


def test_a_record_of_many_chunks_is_joined_once() -> None:
    """32 MiB in 512-byte chunks: joined at each of the 65536, a tebibyte would be copied, past the time limit."""
    cutter = FrameCutter()
    stream = framed([b"x" * (32 << 20)])
    records = [record for start in range(0, len(stream), 512) for record in cutter.cut(stream[start : start + 512])]
    assert [len(record) for record in records] == [32 << 20]
