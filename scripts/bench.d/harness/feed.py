"""The feeds: records, put into websocket frames before anything is measured.

Law: a feed is a file of finished frames and the list of its records; the feeder sends the one, the checks compare
with the other. The market is synthetic and the same in every run: 6,000 symbols of one to five letters, drawn with
weights 1/rank (a few symbols make most of the trades), in the two wire layouts of the vendor's stock trades. All
records of a layout have the same size; what varies is where their fields lie. `q` counts the records of one pass.
"""

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

PASS_RECORDS = 60_000
"""Records in one pass of a synthetic feed: about 10 MB, more than a core's own cache, and a multiple of every batch."""

LAYOUTS = {
    "160": (
        '{{"ev":"T","sym":"{symbol}","i":"{trade_id}","x":4,"p":{price},"s":{size},"t":1781622376036,"pt":1781622376029,'
        '"q":{q},"z":3,"trfi":202,"trft":1781622376036,"ds":"{size}.0"}}',
        10,
    ),
    "112": (
        '{{"ev":"T","sym":"{symbol}","i":"{trade_id}","x":19,"p":{price},"s":{size},"c":[14,37,41],"t":1649169893847,'
        '"q":{q},"z":3}}',
        9,
    ),
}
"""Layout name (its record size in bytes) -> one trade, and the characters that symbol and trade id have together.

160 is the layout of 2026, with participant and TRF times; 112 that of 2022.
"""

REAL_SECOND = "real"
"""The layout name of the feed made from a file of messages."""

_SYMBOLS = 6_000
_SYMBOL_LENGTHS = (1, 2, 3, 3, 4, 4, 4, 4, 5)
_FLAT_OBJECT = re.compile(rb"\{[^{}]*\}")


@dataclass(frozen=True)
class Feed:
    """Frames on disk and the records in them, for one pass; the feeder sends whole passes."""

    name: str
    path: Path
    wire_bytes: int
    records: Sequence[bytes] = field(repr=False)

    def piped_bytes(self, count: int) -> int:
        """What the first `count` records, over as many passes as needed, come to in the pipes: each behind 4 bytes of
        length.
        """
        passes, rest = divmod(count, len(self.records))
        in_pass = sum(map(len, self.records)) if passes else 0
        return passes * in_pass + sum(map(len, self.records[:rest])) + 4 * count


def synthetic(folder: Path, layout: str, batch: int) -> Feed:
    """Writes the synthetic feed of a layout, with `batch` records in every frame."""
    records = list(_trades(layout))
    return _write(folder, f"{layout}-{batch}", records, (records[i : i + batch] for i in range(0, len(records), batch)))


def from_messages(folder: Path, source: Path) -> Feed:
    """Writes a feed of the messages in a file, one JSON array per line (`.jsonl`, or `.jsonl.zst`), batched as they
    are.
    """
    batches = [_split(line) for line in _read(source).splitlines()]
    return _write(folder, REAL_SECOND, [record for batch in batches for record in batch], batches)


def frame(payload: bytes) -> bytes:
    """An unmasked, unfragmented text frame (RFC 6455 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def _trades(layout: str) -> Iterator[bytes]:
    template, name_chars = LAYOUTS[layout]
    rng = random.Random(layout)
    names: set[str] = set()
    while len(names) < _SYMBOLS:
        names.add("".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=rng.choice(_SYMBOL_LENGTHS))))
    symbols = rng.sample(sorted(names), _SYMBOLS)
    weights = [1 / rank for rank in range(1, _SYMBOLS + 1)]
    for q, symbol in enumerate(rng.choices(symbols, weights, k=PASS_RECORDS), start=1_000_000):
        digits = name_chars - len(symbol)
        yield template.format(
            symbol=symbol,
            trade_id=rng.randrange(10 ** (digits - 1), 10**digits),
            # the last decimal is never 0: a client that decodes and encodes again would drop it
            price=f"{rng.randrange(100, 1000)}.{rng.randrange(100):02}{rng.randrange(1, 10)}",
            size=rng.randrange(10, 100),
            q=q,
        ).encode()


def _read(source: Path) -> bytes:
    data = source.read_bytes()
    if source.suffix != ".zst":
        return data
    import zstandard  # only here: an optional package, and the synthetic feeds do without

    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def _split(message: bytes) -> list[bytes]:
    """The records of one message, byte for byte."""
    records: list[bytes] = _FLAT_OBJECT.findall(message)
    if len(records) != len(orjson.loads(message)):
        raise ValueError(f"a message of {len(message)} bytes is not an array of flat objects: {message[:80]!r}")
    return records


def _write(folder: Path, name: str, records: Sequence[bytes], batches: Iterable[Sequence[bytes]]) -> Feed:
    path = folder / f"{name}.feed"
    data = b"".join(frame(b"[" + b",".join(batch) + b"]") for batch in batches)
    path.write_bytes(data)
    return Feed(name, path, len(data), records)
