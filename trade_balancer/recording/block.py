"""What a recording is made of: a head, blocks, an index. Bytes in, bytes out (docs/recording.md has the picture).

Law: all that is ours stands in skippable frames of zstd (RFC 8878 section 3.1.2), which other programs pass over. Each
has a checksum; that of a block is over its lines, too.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from trade_balancer.errors import MissingExtraError

try:
    import zstandard
except ImportError:
    raise MissingExtraError("a recording", "zstandard", "zstd") from None

VERSION = 1
SKIPPABLE_MAGIC = 0x184D2A5D
SKIPPABLE_BYTES = 8
TEXT_MOST_BYTES = 1 << 28
"""Of a block's lines, so that a few hostile bytes do not become gigabytes. lb's longest record has half as many."""

HEAD, BLOCK, INDEX = b"LBR1", b"LBRB", b"LBRI"
"""The kinds of our frames; the first has the version of all of them."""

_SKIPPABLE = struct.Struct("<II")  # magic, bytes that follow
_KIND = struct.Struct("<4sI")  # kind, CRC-32 of what follows
_BLOCK = struct.Struct("<QqqQIIIIII")  # as BlockHead has it
_ENTRY = struct.Struct("<QqqQ")  # as Entry has it
_INDEX_END = struct.Struct("<I4s")  # bytes of the whole frame, kind: what a file that is complete ends with
KIND_BYTES = SKIPPABLE_BYTES + _KIND.size
BLOCK_HEAD_BYTES = KIND_BYTES + _BLOCK.size
INDEX_END_BYTES = _INDEX_END.size


class DamageError(Exception):
    """What stands there was not written so; the text says what is wrong."""


class Compressor(Protocol):
    """zstandard.ZstdCompressor."""

    def compress(self, data: Any, /) -> bytes: ...


@dataclass(frozen=True)
class BlockHead:
    """What is known of a block without unpacking it. Times are ns since 1970 UTC, of the first batch and the last."""

    number: int
    """How many blocks come before it in the file."""
    first_ns: int
    last_ns: int
    dropped: int
    """Records that lb has dropped for its reader, by the markers among these lines."""
    records: int
    text_bytes: int
    """Of the lines, unpacked."""
    batches: int
    newlines: int
    table_bytes: int
    """Of the packed table of batches, which follows the head."""
    lines_bytes: int
    """Of the zstd frame of lines, which follows the table."""

    @property
    def size_bytes(self) -> int:
        """Of the block in the file."""
        return BLOCK_HEAD_BYTES + self.table_bytes + self.lines_bytes


@dataclass(frozen=True)
class Entry:
    """A block in the index: where in the file it begins, its times, and the records before it in the file."""

    offset_bytes: int
    first_ns: int
    last_ns: int
    records_before: int


@dataclass
class Block:
    """Lines, a record and a line feed each, of batches: what was read at one time."""

    text: bytes | bytearray | memoryview
    times_ns: list[int] = field(default_factory=list)
    """When each batch was received: ns since 1970 UTC."""
    counts: list[int] = field(default_factory=list)
    """How many records each has; none has none."""
    newlines: list[int] = field(default_factory=list)
    """Where in `text` a space stands for a line feed inside of a record."""
    dropped: int = 0

    @property
    def records(self) -> int:
        return sum(self.counts)

    def lines(self) -> list[bytes]:
        """The records as they were received."""
        text = self.text
        if self.newlines:
            return [bytes(record) for record in self._exact()]
        return bytes(text).split(b"\n")[:-1]

    def batches(self) -> Iterator[tuple[int, list[bytes]]]:
        """Each batch's time (ns) and records."""
        lines = self.lines()
        begin = 0
        for time_ns, count in zip(self.times_ns, self.counts, strict=True):
            yield time_ns, lines[begin : begin + count]
            begin += count

    def _exact(self) -> Iterator[bytearray]:
        places = iter([*self.newlines, len(self.text)])
        place = next(places)
        begin = 0
        for line in bytes(self.text).split(b"\n")[:-1]:
            record = bytearray(line)
            while place <= begin + len(line) and place < len(self.text):
                if place == begin + len(line):
                    raise DamageError("a line feed stands where a record ends")
                record[place - begin] = 0x0A
                place = next(places)
            begin += len(line) + 1
            yield record


def new_compressor(level: int) -> Compressor:
    """For the blocks of a file; each frame gets a checksum of its own, which `zstd -t` looks at."""
    return zstandard.ZstdCompressor(level=level, write_checksum=True)


def pack_head(about: dict[str, Any]) -> bytes:
    """The first frame of a file. `about` is for people and programs: what can be written as JSON."""
    return _frame(HEAD, orjson.dumps(about), b"")


def unpack_head(data: bytes) -> tuple[dict[str, Any], int]:
    """What `about` was, and how many bytes of `data` the frame has. Raises DamageError."""
    payload = _payload(HEAD, data)
    try:
        about = orjson.loads(payload)
    except orjson.JSONDecodeError:
        about = None
    if not isinstance(about, dict):
        raise DamageError("its head is no JSON object")
    return about, KIND_BYTES + len(payload)


def pack_block(number: int, block: Block, compressor: Compressor) -> bytes:
    """A block as it stands in a file."""
    lines = compressor.compress(block.text)
    count = len(block.times_ns)
    table = struct.pack(f"<{count}q{count}I{len(block.newlines)}I", *block.times_ns, *block.counts, *block.newlines)
    packed_table = compressor.compress(table)
    head = _BLOCK.pack(
        number, block.times_ns[0], block.times_ns[-1], block.dropped, block.records, len(block.text),
        count, len(block.newlines), len(packed_table), len(lines),
    )  # fmt: skip
    return _frame(BLOCK, head + packed_table, lines)


def unpack_block_head(data: bytes) -> BlockHead:
    """Of the first BLOCK_HEAD_BYTES of a block, whose checksum is not looked at: `unpack_block` does. Raises
    DamageError."""
    if len(data) < BLOCK_HEAD_BYTES:
        raise DamageError("it ends inside the head of a block")
    magic, follow_bytes = _SKIPPABLE.unpack_from(data)
    kind, _ = _KIND.unpack_from(data, SKIPPABLE_BYTES)
    if magic != SKIPPABLE_MAGIC or kind != BLOCK:
        raise DamageError("no block begins there")
    head = BlockHead(*_BLOCK.unpack_from(data, KIND_BYTES))
    if head.table_bytes + BLOCK_HEAD_BYTES != follow_bytes + SKIPPABLE_BYTES:
        raise DamageError("the lengths in a block's head contradict each other")
    return head


def check_block(head: BlockHead, data: bytes) -> None:
    """Raises DamageError where `data`, the whole block, has not the checksum that it was written with."""
    if len(data) < head.size_bytes:
        raise DamageError(f"it ends inside a block: {len(data)} of {head.size_bytes} bytes")
    _, crc = _KIND.unpack_from(data, SKIPPABLE_BYTES)
    if zlib.crc32(memoryview(data)[KIND_BYTES:]) != crc:
        raise DamageError("a block's checksum is wrong")


def unpack_block(head: BlockHead, data: bytes) -> Block:
    """The block whose bytes, and no more, are `data`. Raises DamageError."""
    check_block(head, data)
    body = memoryview(data)[BLOCK_HEAD_BYTES:]
    table_bytes = head.batches * 12 + head.newlines * 4
    table = _unpacked(body[: head.table_bytes], table_bytes)
    text = _unpacked(body[head.table_bytes :], head.text_bytes)
    values = struct.unpack(f"<{head.batches}q{head.batches + head.newlines}I", table)
    times_ns, counts = list(values[: head.batches]), list(values[head.batches : 2 * head.batches])
    newlines = list(values[2 * head.batches :])
    if sum(counts) != head.records or text.count(b"\n") != head.records or not text.endswith(b"\n") or not all(counts):
        raise DamageError("a block has another number of records than its head says")
    if newlines != sorted(set(newlines)) or any(text[place : place + 1] != b" " for place in newlines):
        raise DamageError("line feeds are noted where none can have been")
    return Block(text, times_ns, counts, newlines, head.dropped)


def pack_index(entries: Sequence[Entry]) -> bytes:
    """The last frame of a file that is complete."""
    payload = b"".join(
        _ENTRY.pack(entry.offset_bytes, entry.first_ns, entry.last_ns, entry.records_before) for entry in entries
    )
    return _frame(INDEX, payload + _INDEX_END.pack(KIND_BYTES + len(payload) + INDEX_END_BYTES, INDEX), b"")


def index_bytes(ending: bytes) -> int:
    """How many bytes the index has that ends with these INDEX_END_BYTES; 0 where none does."""
    if len(ending) != INDEX_END_BYTES:
        return 0
    size_bytes, kind = _INDEX_END.unpack(ending)
    return int(size_bytes) if kind == INDEX else 0


def unpack_index(data: bytes) -> list[Entry]:
    """Raises DamageError."""
    payload = _payload(INDEX, data)[:-INDEX_END_BYTES]
    if len(payload) % _ENTRY.size or KIND_BYTES + len(payload) + INDEX_END_BYTES != len(data):
        raise DamageError("its index has another length than it says")
    return [Entry(*values) for values in _ENTRY.iter_unpack(payload)]


def kind_of(data: bytes) -> bytes:
    """The kind of our frame that begins there; empty where none does."""
    if len(data) < KIND_BYTES or _SKIPPABLE.unpack_from(data)[0] != SKIPPABLE_MAGIC:
        return b""
    return bytes(_KIND.unpack_from(data, SKIPPABLE_BYTES)[0])


def _frame(kind: bytes, payload: bytes, behind: bytes) -> bytes:
    """`behind` follows the frame, and is in its checksum."""
    crc = zlib.crc32(behind, zlib.crc32(payload))
    return b"".join(
        (_SKIPPABLE.pack(SKIPPABLE_MAGIC, _KIND.size + len(payload)), _KIND.pack(kind, crc), payload, behind)
    )


def _payload(kind: bytes, data: bytes) -> bytes:
    """Of a frame of ours that `data` begins with."""
    if kind_of(data) != kind:
        raise DamageError("no frame of a recording begins there")
    _, follow_bytes = _SKIPPABLE.unpack_from(data)
    payload = data[KIND_BYTES : SKIPPABLE_BYTES + follow_bytes]
    _, crc = _KIND.unpack_from(data, SKIPPABLE_BYTES)
    if len(data) < SKIPPABLE_BYTES + follow_bytes or zlib.crc32(payload) != crc:
        raise DamageError("a frame's checksum is wrong")
    return payload


def _unpacked(frame: memoryview, size_bytes: int) -> bytes:
    """Of a zstd frame that has to hold so many bytes, and no frame behind it."""
    if size_bytes > TEXT_MOST_BYTES:
        raise DamageError(f"a block of {size_bytes} bytes is longer than any: {TEXT_MOST_BYTES} bytes at most")
    try:
        if zstandard.get_frame_parameters(frame).content_size != size_bytes:
            raise DamageError("a block has another length than its head says")
        return zstandard.ZstdDecompressor().decompress(frame, max_output_size=size_bytes, allow_extra_data=False)
    except zstandard.ZstdError as fault:
        raise DamageError(f"a block can't be unpacked: {fault}") from None
