"""Recordings of venues, and dictionaries as books. They are of real markets and no part of the project."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import zstandard

from trade_balancer.books.books import Side

Book = dict[Side, dict[int, int]]
Texts = list[list[str]]


def lines(path: Path) -> list[str]:
    if not path.exists():
        pytest.skip("the recordings of venues are not on this machine")
    with zstandard.open(path, "rt") as file:
        return list(file)


def received(path: Path) -> Iterator[str]:
    """The messages of a recording: a time, a colon, the message."""
    matches = (re.match(r"[\d.]+: (.*)", line) for line in lines(path))
    return (match[1] for match in matches if match)


def scaled(text: str) -> int:
    value = Decimal(text).scaleb(8)
    assert value == int(value)
    return int(value)


def apply(book: Book, bids: Texts, asks: Texts) -> None:
    for side, levels in ((Side.BID, bids), (Side.ASK, asks)):
        for price, size, *_ in levels:
            book[side][scaled(price)] = scaled(size)
            if not book[side][scaled(price)]:
                del book[side][scaled(price)]


def book_of(bids: Texts, asks: Texts) -> Book:
    book: Book = {Side.BID: {}, Side.ASK: {}}
    apply(book, bids, asks)
    return book


def in_order(book: Book, side: Side) -> list[tuple[int, int]]:
    return sorted(book[side].items(), reverse=side is Side.BID)
