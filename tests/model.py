"""The reference model: what must come out of the pump, in a few obvious lines.

Law: knows nothing of reads, buffers, pipes' capacities or C, and does every step the slow and plain way.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

ROUND_ROBIN, SYMBOL, LEAST_BACKLOG, KEY = "round-robin", "symbol", "least-backlog", "key"

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

NOT_ARRAY = "message is neither a JSON array nor an object"
NOT_OBJECT = "element of the array is not an object"
NO_SEPARATOR = "neither ',' nor ']' behind an object"
TRAILING = "bytes behind the array or object"
TRUNCATED = "message ends before its array or object does"
TOO_BIG = "object longer than max_frame_bytes"

BYTE_ORDER_MARK = "\ufeff".encode()

KEY_MEMBERS = {
    **dict.fromkeys([b"T", b"Q", b"A", b"AM", b"FMV", b"LV"], b"sym"),
    **dict.fromkeys([b"XT", b"XQ", b"XA", b"XL2", b"XAS", b"CA", b"CAS"], b"pair"),
    **dict.fromkeys([b"LULD", b"V", b"NOI"], b"T"),
    b"C": b"p",
}


class Frame(NamedTuple):
    """A websocket frame from the server."""

    opcode: int
    payload: bytes
    fin: bool = True


@dataclass(frozen=True)
class Status:
    """A record was met that is the venue's own word."""

    text: bytes


@dataclass(frozen=True)
class Control:
    """A control frame was met."""

    opcode: int
    payload: bytes


@dataclass(frozen=True)
class Fault:
    """A message's first fault; `rest` is the message from there on, as far as its frames so far tell."""

    fault: str
    offset_bytes: int
    rest: bytes


@dataclass(frozen=True)
class Failure:
    """The session must end."""

    close_code: int


Event = Status | Control | Fault | Failure


def wire(frame: Frame) -> bytes:
    """The bytes of a frame (RFC 6455 section 5.2)."""
    first, length = frame.fin << 7 | frame.opcode, len(frame.payload)
    if length < 126:
        return bytes([first, length]) + frame.payload
    if length < 1 << 16:
        return bytes([first, 126]) + length.to_bytes(2, "big") + frame.payload
    return bytes([first, 127]) + length.to_bytes(8, "big") + frame.payload


def fnv1a_64(key: bytes) -> int:
    """The hash of draft-eastlake-fnv."""
    value = 0xCBF29CE484222325
    for byte in key:
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return value


def pipe_of_key(key: bytes, pipes: int) -> int:
    return (fnv1a_64(key) >> 32) % pipes


_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NAME = re.compile(r'[{,]\s*"((?:[^"\\]|\\.)*)"\s*:\s*', re.DOTALL)
_OPENING = re.compile(r"\[?\s*\{")
_BEHIND = re.compile(r"\s*")
_decoder = json.JSONDecoder(strict=False)


def members(record: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The top-level members of an object, as far as it is JSON: name, as it stands between the quotes, and value."""
    text, at = record.decode(errors="surrogateescape"), 0
    while name := _NAME.match(text, at):
        try:
            _, end = _decoder.raw_decode(text, name.end())
        except ValueError:
            return
        value = text[name.end() : end].encode(errors="surrogateescape")
        yield name[1].encode(errors="surrogateescape"), value
        behind = _BEHIND.match(text, end)
        at = behind.end() if behind else end


def first_object(record: bytes, name: bytes) -> bytes | None:
    """The first object in the member `name`, which is that or an array that begins with it: from its brace on."""
    text, at = record.decode(errors="surrogateescape"), 0
    wanted = name.decode(errors="surrogateescape")
    while found := _NAME.match(text, at):
        if found[1] == wanted:
            begin = _OPENING.match(text, found.end())
            return None if begin is None else text[begin.end() - 1 :].encode(errors="surrogateescape")
        try:
            _, end = _decoder.raw_decode(text, found.end())
        except ValueError:
            return None
        behind = _BEHIND.match(text, end)
        at = behind.end() if behind else end
    return None


def text_member(record: bytes, name: bytes) -> bytes | None:
    """What a string says between its quotes, or any other value as it stands there."""
    found = next((value for found, value in members(record) if found == name), None)
    return found[1:-1] if found is not None and found.startswith(b'"') else found


def string_member(record: bytes, name: bytes) -> bytes | None:
    found = next((value for found, value in members(record) if found == name), b"")
    return found[1:-1] if found.startswith(b'"') else None


class Venue(NamedTuple):
    """What its records mean: whether one is the venue's own word, which key decides the pipe of any other, and whether
    such a one is its word besides."""

    is_notice: Callable[[bytes], bool]
    key_of: Callable[[bytes], bytes | None]
    is_told: Callable[[bytes], bool] = lambda _: False


def is_status(record: bytes) -> bool:
    return string_member(record, b"ev") == b"status"


def is_no_event(record: bytes) -> bool:
    return string_member(record, b"stream") in (None, b"!serverShutdown")


def symbol_of_stream(record: bytes) -> bytes | None:
    stream = string_member(record, b"stream")
    return None if stream is None else stream.partition(b"@")[0]


def key_of(record: bytes) -> bytes | None:
    """The shard key: a symbol or pair, under the name that the event's layout gives it."""
    event = string_member(record, b"ev")
    if event in KEY_MEMBERS:
        return string_member(record, KEY_MEMBERS[event])
    found = (string_member(record, name) for name in (b"sym", b"pair", b"T"))
    return next((key for key in found if key is not None), None)


def is_own_event(record: bytes) -> bool:
    return (string_member(record, b"event") or b"").startswith(b"bts:") or not string_member(record, b"channel")


def pair_of_channel(record: bytes) -> bytes | None:
    channel = string_member(record, b"channel")
    return channel.rpartition(b"_")[2] if channel else None


POLYGON, BINANCE = Venue(is_status, key_of), Venue(is_no_event, symbol_of_stream)
BITSTAMP = Venue(is_own_event, pair_of_channel)


def channel_of(record: bytes) -> bytes | None:
    return string_member(record, b"channel")


def product_of_event(record: bytes) -> bytes | None:
    if (event := first_object(record, b"events")) is None:
        return None
    items = (event, *(first_object(event, name) for name in (b"trades", b"tickers", b"candles")))
    products = (string_member(item, b"product_id") for item in items if item is not None)
    return next((product for product in products if product is not None), None)


def symbol_of_data(record: bytes) -> bytes | None:
    item = first_object(record, b"data")
    return None if item is None else string_member(item, b"symbol")


COINBASE = Venue(
    lambda record: channel_of(record) is None,
    product_of_event,
    is_told=lambda record: channel_of(record) == b"subscriptions",
)
KRAKEN = Venue(lambda record: channel_of(record) in (None, b"heartbeat", b"status"), symbol_of_data)


def is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def utf8_prefix(text: bytes) -> int:
    """How many bytes of `text` can begin a UTF-8 text."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for index, byte in enumerate(text):
        try:
            decoder.decode(bytes([byte]))
        except UnicodeDecodeError:
            return index
    return len(text)


def object_end(text: bytes, start: int) -> int | None:
    """Behind the brace that closes the object at `start`; None where the text ends before it."""
    depth, at = 0, start
    while at < len(text):
        byte = text[at : at + 1]
        if byte == b'"':
            string = _STRING.match(text, at)
            if not string:
                return None
            at = string.end()
            continue
        depth += (byte == b"{") - (byte == b"}")
        at += 1
        if depth == 0:
            return at
    return None


def element_end(text: bytes, start: int) -> int | None:
    """Where the separator behind the element at `start` is; None where the text ends before it."""
    depth, at = 0, start
    while at < len(text):
        byte = text[at : at + 1]
        if byte == b'"':
            string = _STRING.match(text, at)
            if not string:
                return None
            at = string.end()
            continue
        if depth == 0 and byte in b",]":
            return at
        depth = max(depth + (byte in b"{[") - (byte in b"}]"), 0)
        at += 1
    return None


@dataclass
class Cut:
    """What a text says so far: its records, its first fault and its place, what was passed over, and the record that
    it ends in."""

    records: list[bytes] = field(default_factory=list)
    fault: str | None = None
    offset_bytes: int = 0
    records_before_fault: int = 0
    skipped: list[bytes] = field(default_factory=list)
    """Elements that are no objects, up to the separator behind them."""
    rest: bytes = b""
    """What follows a fault that is not one element's."""
    begun: bytes = b""

    @property
    def skipped_bytes(self) -> int:
        return sum(map(len, self.skipped)) + len(self.rest)

    def note(self, fault: str, at: int) -> None:
        if self.fault is None:
            self.fault, self.offset_bytes, self.records_before_fault = fault, at, len(self.records)

    def give_up(self, fault: str, text: bytes, at: int) -> Cut:
        self.note(fault, at)
        self.rest = text[at:]
        return self


def cut(text: bytes, max_record_bytes: int, *, is_whole: bool = True) -> Cut:
    """Cut a message, or where not `is_whole` its first bytes, into records."""
    so_far = Cut()
    wanted, at, is_array = "array or object", 0, False
    while at < len(text):
        byte = chr(text[at])
        if byte in " \t\r\n":
            at += 1
        elif wanted == "array or object" and BYTE_ORDER_MARK.startswith(text[at : at + 3]):
            if len(text) - at < 3:
                return so_far.give_up(NOT_ARRAY, text, at) if is_whole else so_far
            at += 3
        elif wanted == "array or object" and byte == "[":
            wanted, at, is_array = "element or ]", at + 1, True
        elif wanted == "array or object" and byte != "{":
            return so_far.give_up(NOT_ARRAY, text, at)
        elif wanted == "end":
            return so_far.give_up(TRAILING, text, at)
        elif wanted == ", or ]":
            if byte not in ",]":
                return so_far.give_up(NO_SEPARATOR, text, at)
            wanted, at = "element" if byte == "," else "end", at + 1
        elif byte == "]" and wanted == "element or ]":
            wanted, at = "end", at + 1
        elif byte != "{":
            so_far.note(NOT_OBJECT, at)
            end = element_end(text, at)
            so_far.skipped.append(text[at:end])
            if end is None:
                return so_far
            wanted, at = ", or ]", end
        else:
            end = object_end(text, at)
            if (end or len(text)) - at > max_record_bytes:
                return so_far.give_up(TOO_BIG, text, at)
            if end is None:
                so_far.begun = text[at:]
                return so_far.give_up(TRUNCATED, text, at) if is_whole else so_far
            so_far.records.append(text[at:end])
            wanted, at = ", or ]" if is_array else "end", end
    if is_whole and wanted != "end":
        return so_far.give_up(TRUNCATED if is_array else NOT_ARRAY, text, at)
    return so_far


class Model:
    """Deals the records of frames to `pipes` lists, but for those that pipes do not want; of the route that looks at
    the readers, all to the first."""

    def __init__(
        self,
        pipes: int,
        route: str,
        max_frame_bytes: int,
        venue: Venue = POLYGON,
        wants: Callable[[bytes], bool] = lambda _: True,
        key_member: bytes = b"",
    ) -> None:
        self.market: list[bytes] = []
        """All records but the venue's own words, in their order."""
        self._wants = wants
        self.is_pipe_open = route == LEAST_BACKLOG and pipes > 1
        """Whether any record may be in any pipe."""
        self.pipes: list[list[bytes]] = [[] for _ in range(pipes)]
        self.events: list[Event] = []
        self.skipped_elements_total = self.skipped_bytes_total = 0
        self._route = route
        self._key_member = key_member
        self._venue = venue
        self._max_frame_bytes = max_frame_bytes
        self._dealt_total = 0

    def stream(self, pipe: int) -> bytes:
        """What a reader of the pipe gets."""
        return b"".join(len(record).to_bytes(4, "little") + record for record in self.pipes[pipe])

    def session(self, frames: Sequence[Frame]) -> bytes:
        """Take a session's frames; answer what its end cut off of a record."""
        text, is_text, so_far, in_message = b"", False, Cut(), False
        for frame in frames:
            if frame.opcode >= CLOSE:
                self.events.append(Control(frame.opcode, frame.payload))
                continue
            if frame.opcode != CONTINUATION:
                text, is_text, so_far = b"", frame.opcode == TEXT, Cut()
            text += frame.payload
            in_message = not frame.fin
            good_bytes = utf8_prefix(text) if is_text else len(text)
            is_failure = good_bytes < len(text) or (frame.fin and is_text and not is_utf8(text))
            is_whole = frame.fin and not is_failure
            before, so_far = so_far, cut(text[:good_bytes], self._max_frame_bytes, is_whole=is_whole)
            fresh = so_far.records[len(before.records) :]
            if so_far.fault and not before.fault:
                for record in fresh[: (good := so_far.records_before_fault - len(before.records))]:
                    self._deal(record)
                self.events.append(Fault(so_far.fault, so_far.offset_bytes, text[so_far.offset_bytes :]))
                fresh = fresh[good:]
            for record in fresh:
                self._deal(record)
            self.skipped_elements_total += len(so_far.skipped) - len(before.skipped)
            self.skipped_bytes_total += so_far.skipped_bytes - before.skipped_bytes
            if is_failure:
                self.events.append(Failure(1007))
                return b""
        return so_far.begun if in_message else b""

    def _deal(self, record: bytes) -> None:
        if self._venue.is_notice(record):
            self.events.append(Status(record))
            return
        self.market.append(record)
        if self._venue.is_told(record):
            self.events.append(Status(record))
        if not self._wants(record):
            return
        pipes = len(self.pipes)
        if self._route == LEAST_BACKLOG:
            pipe = 0
        elif self._route == ROUND_ROBIN:
            pipe = self._dealt_total % pipes
        else:
            by_member = self._route == KEY
            key = text_member(record, self._key_member) if by_member else self._venue.key_of(record)
            pipe = 0 if key is None else pipe_of_key(key, pipes)
        self.pipes[pipe].append(record)
        self._dealt_total += 1


def frames_until(frames: Sequence[Frame], end_bytes: int) -> list[Frame]:
    """What a receiver knows of the frames once `end_bytes` bytes of them came: the last data frame perhaps in part."""
    known: list[Frame] = []
    for frame in frames:
        header_bytes = len(wire(frame)) - len(frame.payload)
        if end_bytes < header_bytes + len(frame.payload):
            if frame.opcode < CLOSE and end_bytes >= header_bytes:
                known.append(Frame(frame.opcode, frame.payload[: end_bytes - header_bytes], fin=False))
            break
        known.append(frame)
        end_bytes -= header_bytes + len(frame.payload)
    return known


def crc32c(data: bytes) -> int:
    """RFC 3720 section 12.1, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
