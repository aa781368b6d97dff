"""The values of `lb`'s options: from a word to what it means, or an error (argparse.ArgumentTypeError) that tells what
would do. Law: no error repeats a word that may be the key."""

from __future__ import annotations

import argparse
import grp
import os
from collections.abc import Callable
from enum import Enum
from typing import TypeVar

from lb.config import Address, OnFull
from lb.numbers import quoted, seconds
from lb.pump import KEY_MEMBER_MAX_BYTES, Route

LEAST_INTERVAL_S = 0.05
"""More lines than 20 a second are no statistics, and with many pipes each costs milliseconds."""
_MOST_PORT = 65535

_Words = TypeVar("_Words", bound=Enum)


def interval(text: str) -> float:
    interval_s = seconds(text)
    if 0 < interval_s < LEAST_INTERVAL_S:
        raise argparse.ArgumentTypeError(f"{text} s is less than {LEAST_INTERVAL_S:g} s, and not 0, which is off")
    return interval_s


def cpu(text: str) -> int:
    allowed = os.sched_getaffinity(0)
    if not text.isdecimal() or int(text) not in allowed:
        raise argparse.ArgumentTypeError(
            f"{quoted(text)} is none of the CPUs allowed here: {', '.join(map(str, sorted(allowed)))}"
        )
    return int(text)


def group(text: str) -> int:
    try:
        return int(text) if text.isdecimal() else grp.getgrnam(text).gr_gid
    except KeyError:
        raise argparse.ArgumentTypeError(f"there is no group {quoted(text)}") from None


def address(text: str) -> Address:
    """Of HOST:PORT; without HOST, programs of this machine alone can connect."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > _MOST_PORT or not host.isprintable():
        raise argparse.ArgumentTypeError(f"{quoted(text)} is no HOST:PORT, such as 127.0.0.1:9825")
    return Address(host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port))


def one_of(values: type[_Words]) -> Callable[[str], _Words]:
    def parse(text: str) -> _Words:
        try:
            return values(text)
        except ValueError:
            words = ", ".join(value.value for value in values)
            raise argparse.ArgumentTypeError(f"{quoted(text)} is none of {words}") from None

    return parse


def on_full(text: str) -> tuple[OnFull, str]:
    """What happens where a pipe is full, and the folder behind `spill=`."""
    word, _, folder = text.partition("=")
    if (word == OnFull.SPILL.value) != bool(folder):
        raise argparse.ArgumentTypeError(f"{quoted(text)} is none of block, drop-oldest, drop-newest, spill=DIR")
    return one_of(OnFull)(word if folder else text), folder


def route(text: str) -> tuple[Route, str]:
    """Which pipe a record goes to, and the name behind `key=`."""
    word, _, member = text.partition("=")
    if word != Route.KEY.value:
        return one_of(Route)(text), ""
    is_plain = member.isprintable() and not {'"', "\\"} & set(member)
    if not is_plain or not 1 <= len(member.encode()) <= KEY_MEMBER_MAX_BYTES:
        raise argparse.ArgumentTypeError(
            f"key= wants the name of a member, of 1 to {KEY_MEMBER_MAX_BYTES} bytes, without quotes and backslashes"
        )
    return Route.KEY, member
