"""The decoder as a few obvious lines: orjson says whether a record is an object, the standard library's json what is in
it, Python's float and Decimal what a number is."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

import orjson

from trade_balancer.columnar.batch import Batch, Why
from trade_balancer.columnar.decoder import Decoder
from trade_balancer.columnar.events import Column, Kind
from trade_balancer.columnar.tables import Table

NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
RECORD_MAX_BYTES = 1 << 20


class Number(str):
    """A number's text."""

    __slots__ = ()


class Misfit(Exception):
    """A value is not what its column takes."""


@dataclass(frozen=True)
class Row:
    """A record in a table; None stands for null."""

    event: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Other:
    """A record that is in none."""

    record: bytes
    why: Why


def expected(record: bytes, tables: dict[str, tuple[Column, ...]]) -> Row | Other:
    try:
        if type(orjson.loads(record)) is not dict:
            return Other(record, Why.BAD)
    except orjson.JSONDecodeError:
        return Other(record, Why.BAD)
    members = json.loads(record, parse_int=Number, parse_float=Number)
    event = members.get("ev")
    if type(event) is not str or event not in tables:
        return Other(record, Why.OTHER_EVENT)
    try:
        return Row(event, tuple(_value(column.kind, members.get(column.member)) for column in tables[event]))
    except Misfit:
        return Other(record, Why.MISFIT)


def _value(kind: Kind, value: Any) -> Any:
    if value is None:
        return None
    match kind:
        case Kind.SYMBOL if type(value) is str:
            return value
        case Kind.TEXT if isinstance(value, str):
            return str(value)
        case Kind.BOOL if type(value) is bool:
            return int(value)
        case Kind.INT32 if type(value) is Number:
            return _integer(value, 31)
        case Kind.INT64 | Kind.TIME_MS | Kind.TIME_NS if type(value) is Number:
            return _integer(value, 63)
        case Kind.INTS if type(value) in (Number, list):
            return [_value(Kind.INT32, item) if item is not None else _misfit() for item in _as_list(value)]
        case Kind.DECIMAL if isinstance(value, str) and NUMBER.fullmatch(value):
            return _double(value)
        case Kind.EXACT if isinstance(value, str) and NUMBER.fullmatch(value):
            return _exact(value)
    raise Misfit


def _misfit() -> Any:
    raise Misfit


def _as_list(value: Any) -> list[Any]:
    return value if type(value) is list else [value]


def _integer(text: str, bits: int) -> int:
    if not _digits(text):
        return 0
    if abs(_exponent(text)) > RECORD_MAX_BYTES:  # Decimal would take its time, or refuse
        raise Misfit
    number = Decimal(text)
    if number != number.to_integral_value() or not -(2**bits) <= number < 2**bits:
        raise Misfit
    return int(number)


def _double(text: str) -> bytes:
    """Its eight bytes: -0.0 and 0.0 differ. An integer has no -0, as in Python."""
    number = float(text)
    if math.isinf(number):
        raise Misfit
    if number == 0 and re.fullmatch(r"-?0", text):
        number = 0.0
    return struct.pack("<d", number)


def _exact(text: str) -> Decimal:
    """A decimal that 64 bits with sign and an exponent of 16 have room for: trailing zeros are dropped if need be."""
    digits, exponent = _digits(text), _exponent(text)
    whole = digits[:19]
    if digits[19:].strip("0") or int(whole or "0") >= 2**63:
        raise Misfit
    exponent += len(digits) - len(whole)
    if whole and not -(2**15) <= exponent < 2**15:
        raise Misfit
    return Decimal((int(text.startswith("-")), tuple(map(int, whole or "0")), exponent if whole else 0))


def _digits(text: str) -> str:
    """The significant ones, from the first that is not 0 on."""
    return re.split("[eE]", text)[0].lstrip("-").replace(".", "").lstrip("0")


def _exponent(text: str) -> int:
    """Of ten, for the digits as an integer."""
    mantissa, *exponent = re.split("[eE]", text)
    return int(exponent[0] if exponent else 0) - len(mantissa.partition(".")[2])


def decoded(decoder: Decoder, batches: Iterable[Batch]) -> list[Row | Other]:
    """What the batches hold, in the records' order."""
    found: list[Row | Other] = []
    for batch in batches:
        here: dict[int, Row | Other] = {}
        for table in batch:
            columns = [values_of(table, column) for column in decoder.tables[table.event]]
            for row, order in enumerate(table.order.tolist()):
                here[order] = Row(table.event, tuple(values[row] for values in columns))
        others = batch.others
        for number, order in enumerate(others.order.tolist()):
            here[order] = Other(others[number], others.why(number))
        assert sorted(here) == list(range(len(batch)))
        found += [here[order] for order in range(len(batch))]
    return found


def values_of(table: Table, column: Column) -> list[Any]:
    """A column's values, None for nulls."""
    name = column.name
    values: list[Any] = table.view(name).tolist()
    match column.kind:
        case Kind.SYMBOL:
            values = [table.symbols[code] for code in values]
        case Kind.DECIMAL:
            values = [struct.pack("<d", value) for value in values]
        case Kind.EXACT:
            exponents = table.more(name).tolist()
            values = [_scaled(mantissa, exponent) for mantissa, exponent in zip(values, exponents, strict=True)]
        case Kind.TEXT:
            texts = bytes(table.more(name))
            values = [texts[begin:end].decode() for begin, end in _pairs(values)]
        case Kind.INTS:
            items = table.more(name).tolist()
            values = [items[begin:end] for begin, end in _pairs(values)]
    bitmap = table.validity(name)
    if bitmap is not None:
        valid = [bitmap[row // 8] >> row % 8 & 1 for row in range(len(table))]
        assert valid.count(0) == table.nulls(name) > 0
        nothing = {Kind.TEXT: "", Kind.SYMBOL: "", Kind.INTS: [], Kind.EXACT: Decimal(0)}.get(column.kind, 0)
        for row, is_valid in enumerate(valid):
            if not is_valid:
                assert values[row] == (struct.pack("<d", math.nan) if column.kind is Kind.DECIMAL else nothing)
                values[row] = None
    return values


def _scaled(mantissa: int, exponent: int) -> Decimal:
    return Decimal((int(mantissa < 0), tuple(map(int, str(abs(mantissa)))), exponent))


def _pairs(offsets: Sequence[int]) -> list[tuple[int, int]]:
    return list(pairwise(offsets))


def framed(records: Sequence[bytes]) -> bytes:
    return b"".join(len(record).to_bytes(4, "little") + record for record in records)
