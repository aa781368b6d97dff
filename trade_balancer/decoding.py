"""From a record's bytes to a dict.

Law: one orjson.loads per record. A single call for a whole batch, joined inside brackets, is not faster (580 to 730
against 550 to 610 ns a record, read and decoded): the memory of a lone dict is used again while it is in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

import orjson

from trade_balancer.skips import Skips

Record = dict[str, Any]
"""A record as orjson decodes it: the wire's members under the wire's names. `pydoc trade_balancer.typed` tells the unit
and the source of each."""
Decode = Callable[[Iterable[bytes], int, Skips], Iterable[Any]]
"""Makes of records from a pipe what their handler gets."""

_T = TypeVar("_T")


def decoder(raw: bool, decode: Callable[[bytes], Any] | None) -> Decode:
    """Chosen once, so that nothing is decided per record."""
    if raw:
        return lambda records, fd, skips: records
    return decoded if decode is None else partial(decoded_by, decode)


def decoded(records: Iterable[bytes], fd: int, skips: Skips) -> Iterator[Record]:
    """Yields the records as dicts, in order, but for those that are no JSON objects: `skips` gets these."""
    loads = orjson.loads
    for record in records:
        try:
            value = loads(record)
        except orjson.JSONDecodeError as fault:
            skips.undecodable(record, fd, f"not JSON ({fault})")
            continue
        if type(value) is dict:
            yield value
        else:
            skips.undecodable(record, fd, f"a JSON {type(value).__name__}, not an object")


def decoded_by(decode: Callable[[bytes], _T], records: Iterable[bytes], fd: int, skips: Skips) -> Iterator[_T]:
    """Yields what `decode` makes of the records, in order; `skips` gets those for which it raises an exception."""
    for record in records:
        try:
            value = decode(record)
        except Exception as fault:
            skips.undecodable(record, fd, f"not decodable ({type(fault).__name__}: {fault})")
            continue
        yield value
