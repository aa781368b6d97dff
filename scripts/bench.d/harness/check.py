"""The check that stands before every figure: what came out of a candidate's pipes, byte by byte, against the feed's
records.

Law: the expected bytes come from the records the feed was made of, never from another candidate.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from harness.candidates import Candidate
from harness.errors import TrialError
from harness.feed import Feed
from harness.setting import Setting
from harness.trial import run_with_dump

CUT_PIPES = 7
"""Divides no batch and no pass: every record changes its pipe from pass to pass."""

_PASSES = 2
_SYMBOL = re.compile(rb'"sym":"([^"]*)"')


def check(candidate: Candidate, feed: Feed, certificate: Path | None, build: Path) -> str:
    """Runs two passes of the feed through the candidate; returns the route its output has.

    Raises:
        TrialError: the first pipe whose bytes are not what they must be.
    """
    uncut = candidate.route == "uncut"
    setting = Setting(feed, 1 if uncut else CUT_PIPES, "dump", passes=_PASSES, certificate=certificate)
    with run_with_dump(candidate, setting, build) as (_, pipes):
        try:
            if uncut:
                _compare(pipes, [feed.path.read_bytes() * _PASSES])
            elif candidate.route == "symbol" or (candidate.route == "either" and not _is_dealt(pipes, feed)):
                _check_symbols(pipes, feed)
                return "symbol"
            else:
                _compare(pipes, _dealt(feed, len(pipes)))
        except TrialError as error:
            doubt = "dealt neither round-robin nor by symbol: " if candidate.route == "either" else ""
            raise TrialError(f"{candidate.name}, feed {feed.name}: {doubt}{error}") from None
    return "uncut" if uncut else "round-robin"


def _framed(record: bytes) -> bytes:
    return len(record).to_bytes(4, "little") + record


def _dealt(feed: Feed, pipes: int) -> list[bytes]:
    """Record k belongs to pipe k mod pipes."""
    framed = [_framed(record) for record in feed.records] * _PASSES
    return [b"".join(framed[pipe::pipes]) for pipe in range(pipes)]


def _is_dealt(pipes: Sequence[bytes], feed: Feed) -> bool:
    return list(pipes) == _dealt(feed, len(pipes))


def _compare(pipes: Sequence[bytes], expected: Sequence[bytes]) -> None:
    for pipe, (got, wanted) in enumerate(zip(pipes, expected, strict=True)):
        if got != wanted:
            at = next(
                (i for i, (a, b) in enumerate(zip(got, wanted, strict=False)) if a != b), min(len(got), len(wanted))
            )
            raise TrialError(
                f"pipe {pipe}: {len(got)} bytes, expected {len(wanted)}; they differ from byte {at} on: "
                f"{got[at : at + 60]!r}, expected {wanted[at : at + 60]!r}"
            )


def _check_symbols(pipes: Sequence[bytes], feed: Feed) -> None:
    """Every symbol's records on one pipe, all of them, in their order; which pipe is the candidate's affair."""
    wanted: dict[bytes, list[bytes]] = defaultdict(list)
    for record in list(feed.records) * _PASSES:
        wanted[_symbol(record)].append(record)
    seen: dict[bytes, int] = {}
    for pipe, data in enumerate(pipes):
        got: dict[bytes, list[bytes]] = defaultdict(list)
        for record in _unframed(data, pipe):
            got[_symbol(record)].append(record)
        for symbol, records in got.items():
            if symbol in seen:
                raise TrialError(f"symbol {symbol.decode()} is on pipe {seen[symbol]} and on pipe {pipe}")
            if records != wanted[symbol]:
                raise TrialError(
                    f"symbol {symbol.decode()} on pipe {pipe}: {len(records)} records, expected {len(wanted[symbol])}, "
                    "or another order"
                )
            seen[symbol] = pipe
    if missing := wanted.keys() - seen.keys():
        raise TrialError(f"{len(missing)} of {len(wanted)} symbols came out of no pipe")


def _symbol(record: bytes) -> bytes:
    match = _SYMBOL.search(record)
    return match[1] if match else b""


def _unframed(data: bytes, pipe: int) -> list[bytes]:
    records, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        if at + 4 + size > len(data):
            raise TrialError(f"pipe {pipe}: a length of {size} bytes at byte {at} of {len(data)}")
        records.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return records
