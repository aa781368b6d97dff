"""What `lb-replay` plays in these tests, and which pipe each record must come out of."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import model
import zstandard
from harness import Recording

from lb.replay.synthetic import synthetic_market

OPENING_SECOND = "polygon_trades_open_20131218.jsonl.zst"


@dataclass(frozen=True)
class Market:
    """`source`: the words that make `lb-replay` play it, at full speed. `messages`, `records`: of the whole tape."""

    source: tuple[str, ...]
    messages: Sequence[bytes]
    records: list[bytes]

    @classmethod
    def opening_second(cls, data: Path) -> Market:
        """All US trades of one second, as recorded."""
        file = data / OPENING_SECOND
        with file.open("rb") as compressed:
            lines = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(compressed)).read().splitlines()
        market = cls(("--speed", "max", str(file)), lines, _records_of(lines))
        assert len(market.records) == 32_444
        return market

    @classmethod
    def synthetic(cls) -> Market:
        """What `lb-replay` makes up; it has no end."""
        tape = synthetic_market(behind=True)
        return cls(("--speed", "max", "--synthetic"), tape.messages, _records_of(tape.messages))

    @cached_property
    def keys(self) -> list[bytes]:
        """The shard key of each record."""
        return [json.loads(record)["sym"].encode() for record in self.records]

    def deal(self, numbers: Sequence[int], pipes: int, route: str) -> dict[int, list[bytes]]:
        """What each pipe must bring of the records with these numbers, in this order. The tape repeats itself."""
        dealt: dict[int, list[bytes]] = {}
        for place, number in enumerate(numbers):
            at = number % len(self.records)
            pipe = place % pipes if route == "round-robin" else model.pipe_of_key(self.keys[at], pipes)
            dealt.setdefault(pipe, []).append(self.records[at])
        return dealt


def assert_delivered(recording: Recording, expected: dict[int, list[bytes]]) -> None:
    """Without pytest's comparison of megabytes where it fails."""
    assert recording.total == sum(map(len, expected.values()))
    assert recording.pipes.keys() == expected.keys()
    differing = [pipe for pipe in expected if recording.pipes[pipe] != expected[pipe]]
    assert not differing, f"pipes {differing} brought something else"


def _records_of(messages: Sequence[bytes]) -> list[bytes]:
    """Of messages whose records hold no objects of their own."""
    return [b"{" + record + b"}" for text in messages for record in text[2:-2].split(b"},{")]
