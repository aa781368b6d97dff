"""What the venues' messages say of books, once more: orjson decides what is JSON, decimal.Decimal what a number is.

Nothing here is shared with the package under test.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import NamedTuple, TypeAlias

import orjson


class Kind(IntEnum):
    NOTHING = 0
    WHOLE = 1
    DIFFERENCE = 2
    BEST = 3


class Fault(Enum):
    MALFORMED = -1
    INEXACT = -2
    TOO_LARGE = -3


class Update(NamedTuple):
    kind: Kind
    name: bytes | None = None
    ids: tuple[int, int] | None = None
    time_ns: int = 0
    checksum: int | None = None
    source: int = 0


Json: TypeAlias = "bool | str | Decimal | list[Json] | dict[str, Json] | None"
Level: TypeAlias = tuple[int, int]
Side: TypeAlias = list[Level] | Fault


class Said(NamedTuple):
    update: Update
    bids: Side
    asks: Side


Reading: TypeAlias = list[Said | Fault]
"""All that one message says; a fault ends it."""


class Wanted(NamedTuple):
    """How many levels of a side, and at which scale."""

    limit: int
    price_decimals: int
    size_decimals: int


class FaultError(Exception):
    def __init__(self, fault: Fault = Fault.MALFORMED) -> None:
        super().__init__(fault)
        self.fault = fault


def parse(text: bytes) -> Json:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        raise FaultError from None
    value: Json = json.loads(text, parse_int=Decimal, parse_float=Decimal)
    return value


def scaled(value: Json, decimals: int) -> int:
    """The value as a whole number of units of 10^-decimals."""
    if isinstance(value, str):
        if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", value, re.ASCII):
            raise FaultError
        value = Decimal(value)
    if not isinstance(value, Decimal):
        raise FaultError
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    mantissa, exponent = int("".join(map(str, digits))), exponent + decimals
    if mantissa == 0:
        return 0
    if exponent + len(str(mantissa)) > 19:  # of digits before the point
        raise FaultError(Fault.TOO_LARGE)
    whole, rest = divmod(mantissa * 10 ** max(exponent, 0), 10 ** max(-exponent, 0))
    if whole >= 1 << 63:
        raise FaultError(Fault.TOO_LARGE)
    if rest:
        raise FaultError(Fault.INEXACT)
    return whole if value > 0 else -whole


def count(value: Json) -> int:
    try:
        number = scaled(value, 0)
    except FaultError:
        raise FaultError from None
    if number < 0:
        raise FaultError
    return number


def time_of(value: Json, unit_ns: int) -> int:
    if count(value) * unit_ns >= 1 << 63:
        raise FaultError
    return count(value) * unit_ns


def object_of(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise FaultError
    return value


def list_of(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise FaultError
    return value


def text_of(value: Json) -> bytes:
    if not isinstance(value, str):
        raise FaultError
    return value.encode()


def amount(value: Json) -> Json:
    """What may be the best price, or its size."""
    if not isinstance(value, str | Decimal):
        raise FaultError
    return value


def level(price: Json, size: Json, wanted: Wanted) -> Level:
    found = scaled(price, wanted.price_decimals), scaled(size, wanted.size_decimals)
    if min(found) < 0:
        raise FaultError
    return found


def pair(entry: Json, wanted: Wanted) -> Level:
    entries = list_of(entry)
    if len(entries) < 2:
        raise FaultError
    return level(entries[0], entries[1], wanted)


def first(levels: Iterator[Level], kind: Kind, limit: int) -> Side:
    taken: list[Level] = []
    try:
        while len(taken) < limit:
            price, size = next(levels)
            if price and (size or kind == Kind.DIFFERENCE):
                taken.append((price, size))
    except StopIteration:
        pass
    except FaultError as error:
        return error.fault
    return taken


def said(update: Update, wanted: Wanted, bids: Iterator[Level], asks: Iterator[Level]) -> Said:
    return Said(update, first(bids, update.kind, wanted.limit), first(asks, update.kind, wanted.limit))


def pairs(update: Update, wanted: Wanted, bids: Json, asks: Json) -> Said:
    sides = list_of(bids), list_of(asks)
    return said(update, wanted, *((pair(entry, wanted) for entry in side) for side in sides))


def best(update: Update, wanted: Wanted, bid: tuple[Json, Json], ask: tuple[Json, Json]) -> Said:
    sides = [(amount(price), amount(size)) for price, size in (bid, ask)]
    return said(update, wanted, *((level(*side, wanted) for side in [one]) for one in sides))


NOTHING = Said(Update(Kind.NOTHING), [], [])


def binance(message: Json, wanted: Wanted) -> Reading:
    top = object_of(message)
    stream = top.get("stream")
    if isinstance(stream, str):
        name, at, of = stream.encode().partition(b"@")
        if not at:
            return [NOTHING]
        if re.fullmatch(rb"depth(@1000?ms)?", of):
            return [binance_payload(Update(Kind.DIFFERENCE, name), wanted, top.get("data"))]
        if re.fullmatch(rb"depth(5|10|20)(@1000?ms)?", of):
            return [binance_payload(Update(Kind.WHOLE, name), wanted, top.get("data"))]
        if of == b"bookTicker":
            return [binance_payload(Update(Kind.BEST, name), wanted, top.get("data"))]
        return [Said(Update(Kind.NOTHING, name), [], [])]
    if top.get("e") is None and top.get("B") is not None and top.get("A") is not None:
        kind = Kind.BEST
    elif top.get("e") == "depthUpdate":
        kind = Kind.DIFFERENCE
    else:
        return [NOTHING]
    name = text_of(top.get("s")).lower()
    if len(name) > 192:
        raise FaultError
    return [binance_payload(Update(kind, name), wanted, message)]


def binance_payload(update: Update, wanted: Wanted, payload: Json) -> Said:
    data = object_of(payload)
    if update.kind == Kind.WHOLE:
        ids = (count(data.get("lastUpdateId")),) * 2
        return pairs(update._replace(ids=ids), wanted, data.get("bids"), data.get("asks"))
    last = count(data.get("u"))
    if update.kind == Kind.BEST:
        ids = (last, last)
        return best(update._replace(ids=ids), wanted, *((data.get(p), data.get(p.upper())) for p in "ba"))
    unit_ns = 1_000_000 if count(data.get("E")) < 10**14 else 1000
    update = update._replace(ids=(count(data.get("U")), last), time_ns=time_of(data.get("E"), unit_ns))
    return pairs(update, wanted, data.get("b"), data.get("a"))


def binance_snapshot(body: Json, wanted: Wanted) -> Reading:
    return [binance_payload(Update(Kind.WHOLE), wanted, object_of(body))]


def bitstamp(message: Json, wanted: Wanted) -> Reading:
    top = object_of(message)
    if top.get("event") != "data":
        return [NOTHING]
    channel = text_of(top.get("channel"))
    for begins, kind in {
        b"order_book_": Kind.WHOLE,
        b"diff_order_book_": Kind.DIFFERENCE,
        b"detail_order_book_": Kind.WHOLE,
    }.items():
        if channel.startswith(begins):
            update = Update(kind, channel.removeprefix(begins))
            return [bitstamp_book(update, wanted, top.get("data"), is_detail=begins.startswith(b"detail"))]
    return [NOTHING]


def bitstamp_book(update: Update, wanted: Wanted, book: Json, *, is_detail: bool) -> Said:
    data = object_of(book)
    if data.get("microtimestamp") is not None:
        time_us = count(data["microtimestamp"])
        update = update._replace(ids=(time_us, time_us), time_ns=time_of(data["microtimestamp"], 1000))
    elif data.get("timestamp") is not None:
        update = update._replace(time_ns=time_of(data["timestamp"], 1_000_000_000))
    bids, asks = list_of(data.get("bids")), list_of(data.get("asks"))
    if not is_detail:
        return pairs(update, wanted, bids, asks)
    return Said(update, *(sums(side, wanted) for side in (bids, asks)))


def sums(side: list[Json], wanted: Wanted) -> Side:
    """Orders one behind the other at one price are a level."""
    levels: list[Level] = []
    try:
        for order in side:
            price, size = pair(order, wanted)
            if not price or not size:
                continue
            if levels and levels[-1][0] == price:
                levels[-1] = price, levels[-1][1] + size
                if levels[-1][1] >= 1 << 63:
                    return Fault.TOO_LARGE
            elif len(levels) == wanted.limit:
                break
            else:
                levels.append((price, size))
    except FaultError as error:
        return error.fault
    return levels


def bitstamp_snapshot(body: Json, wanted: Wanted) -> Reading:
    return [bitstamp_book(Update(Kind.WHOLE), wanted, body, is_detail=False)]


def instant(value: Json) -> int:
    text = text_of(value).decode()
    match = re.fullmatch(r"([0-9-]{10}T[0-9:]{8})(?:\.([0-9]+))?(Z|[+-][0-9]{2}:[0-9]{2})", text, re.ASCII)
    try:
        if not match:
            raise FaultError
        moment = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00"))
    except ValueError:
        raise FaultError from None
    time_ns = int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 10**9
    time_ns += int(((match[2] or "") + "0" * 9)[:9])
    if time_ns < 0 or moment.year > 2261:
        raise FaultError
    return time_ns


def events(items: Json, read: Callable[[dict[str, Json]], Said], otherwise: Update) -> Reading:
    """Up to the first that is malformed."""
    found: Reading = []
    for item in list_of(items):
        try:
            found.append(read(object_of(item)))
        except FaultError as error:
            return [*found, error.fault]
    return found or [Said(otherwise, [], [])]


def coinbase(message: Json, wanted: Wanted) -> Reading:
    top = object_of(message)
    update = Update(Kind.NOTHING)
    if top.get("sequence_num") is not None:
        update = update._replace(ids=(count(top["sequence_num"]),) * 2)
    if top.get("channel") != "l2_data":
        return [Said(update, [], [])]
    if update.ids is None:
        raise FaultError
    list_of(top.get("events"))
    if top.get("timestamp") is not None:
        update = update._replace(time_ns=instant(top["timestamp"]))

    def event(members: dict[str, Json]) -> Said:
        kinds: dict[Json, Kind] = {"snapshot": Kind.WHOLE, "update": Kind.DIFFERENCE}
        entries, kind = list_of(members.get("updates")), members.get("type")
        if not isinstance(kind, str) or kind not in kinds:
            raise FaultError
        named = update._replace(kind=kinds[kind], name=text_of(members.get("product_id")))
        return said(named, wanted, *(coinbase_side(entries, name, wanted) for name in ("bid", "offer")))

    return events(top["events"], event, update)


def coinbase_side(entries: list[Json], name: str, wanted: Wanted) -> Iterator[Level]:
    for entry in entries:
        members = object_of(entry)
        if members.get("side") not in ("bid", "offer"):
            raise FaultError
        if members["side"] == name:
            yield level(members.get("price_level"), members.get("new_quantity"), wanted)


def kraken(message: Json, wanted: Wanted) -> Reading:
    top = object_of(message)
    if top.get("channel") != "book":
        return [NOTHING]
    kind = {"snapshot": Kind.WHOLE, "update": Kind.DIFFERENCE}.get(str(top.get("type")))
    if kind is None or not isinstance(top.get("type"), str):
        raise FaultError

    def book(members: dict[str, Json]) -> Said:
        checksum = members.get("checksum")
        if checksum is not None and count(checksum) >= 1 << 32:
            raise FaultError
        time_ns = 0 if members.get("timestamp") is None else instant(members["timestamp"])
        number = None if checksum is None else count(checksum)
        update = Update(kind, text_of(members.get("symbol")), None, time_ns, number)
        sides = list_of(members.get("bids")), list_of(members.get("asks"))
        entries = ((object_of(entry) for entry in side) for side in sides)
        return said(
            update, wanted, *((level(one.get("price"), one.get("qty"), wanted) for one in side) for side in entries)
        )

    return events(top.get("data"), book, Update(Kind.NOTHING))


def polygon(message: Json, wanted: Wanted) -> Reading:
    top = object_of(message)
    if top.get("ev") not in ("XL2", "XQ"):
        return [NOTHING]
    kind = Kind.WHOLE if top["ev"] == "XL2" else Kind.BEST
    source = count(top.get("x"))
    if source >= 1 << 32:
        raise FaultError
    update = Update(kind, text_of(top.get("pair")), None, time_of(top.get("t"), 1_000_000), None, source)
    if kind == Kind.WHOLE:
        return [pairs(update, wanted, top.get("b"), top.get("a"))]
    return [best(update, wanted, (top.get("bp"), top.get("bs")), (top.get("ap"), top.get("as")))]


FORMS = {"binance": binance, "bitstamp": bitstamp, "coinbase": coinbase, "kraken": kraken, "polygon": polygon}
SNAPSHOTS = {"binance": binance_snapshot, "bitstamp": bitstamp_snapshot}


def read(form: Callable[[Json, Wanted], Reading], text: bytes, wanted: Wanted) -> Reading:
    try:
        return form(parse(text), wanted)
    except FaultError as error:
        return [error.fault]
