"""Cuts a byte stream into records: [length, 4 bytes, little-endian][that many bytes: one record], again and again.

Law: no I/O and no JSON here; wherever the stream is cut into chunks, the records are the same.
"""

from __future__ import annotations

import struct

LENGTH_BYTES = 4
_length_at = struct.Struct("<I").unpack_from


class FrameCutter:
    """The state of one stream between two chunks: the bytes of its last, still incomplete frame.

    `records_total` and `bytes_total` (record bytes, without the lengths before them) count what was cut so far.
    """

    __slots__ = ("_held", "_held_bytes", "_wanted_bytes", "bytes_total", "records_total")

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._wanted_bytes = LENGTH_BYTES
        self.records_total = 0
        self.bytes_total = 0

    def cut(self, chunk: bytes) -> list[bytes]:
        """The records that `chunk` completes, in order; any may be empty (length 0).

        Slices of one `bytes` with the length by `unpack_from` were the fastest way of those tried: 95 ns a record of
        112 bytes (CPython 3.11). Slices of a memoryview take 15 % longer, lengths by `int.from_bytes` 25 %.
        """
        self._held.append(chunk)
        self._held_bytes += len(chunk)
        if self._held_bytes < self._wanted_bytes:
            return []  # joined only when it helps: a record of many chunks would else be copied once per chunk
        data = b"".join(self._held)
        records: list[bytes] = []
        append = records.append
        end = len(data)
        start, wanted_bytes = LENGTH_BYTES, LENGTH_BYTES
        while start <= end:
            stop = start + _length_at(data, start - LENGTH_BYTES)[0]
            if stop > end:
                wanted_bytes = stop - start + LENGTH_BYTES
                break
            append(data[start:stop])
            start = stop + LENGTH_BYTES
        consumed_bytes = start - LENGTH_BYTES
        self.records_total += len(records)
        self.bytes_total += consumed_bytes - LENGTH_BYTES * len(records)
        self._held = [data[consumed_bytes:]]
        self._held_bytes = end - consumed_bytes
        self._wanted_bytes = wanted_bytes
        return records

    def missing(self) -> str | None:
        """What a stream that ends here lacks, in words; None at a record boundary."""
        if not self._held_bytes:
            return None
        if self._held_bytes < LENGTH_BYTES:
            return f"ended inside a length: got {self._held_bytes} of {LENGTH_BYTES} bytes"
        got_bytes, expected_bytes = self._held_bytes - LENGTH_BYTES, self._wanted_bytes - LENGTH_BYTES
        return f"ended inside a record: got {got_bytes} of {expected_bytes} bytes"
