"""FrameCutter against the reference: the cuts of a stream never show."""

from __future__ import annotations

from feeding import cut_streams, decoded_simply, framed
from hypothesis import given

from trade_balancer import FrameCutter


@given(cut_streams())
def test_any_cuts_of_any_stream_give_the_records_of_the_reference(case: tuple[bytes, list[bytes]]) -> None:
    stream, chunks = case
    cutter = FrameCutter()
    records = [record for chunk in chunks for record in cutter.cut(chunk)]
    assert records == decoded_simply(stream)
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
