"""The reference model: what must come out of the pump, in a few obvious lines.

Law: knows nothing of reads, buffers, pipes' capacities or C, and does every step the slow and plain way.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

ROUND_ROBIN, SYMBOL = "round-robin", "symbol"

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

NOT_ARRAY = "message is not a JSON array"
NOT_OBJECT = "element of the array is not an object"
NO_SEPARATOR = "neither ',' nor ']' behind an object"
TRAILING = "bytes behind the array"
TRUNCATED = "message ends before its array does"
TOO_BIG = "object longer than max_frame_bytes"

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
    """A status record was met."""

    text: bytes


@dataclass(frozen=True)
class Control:
    """A control frame was met."""

    opcode: int
    payload: bytes


@dataclass(frozen=True)
class Fault:
    """A message was given up; `rest` is the message from the fault on, as far as its frames so far tell."""

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
_BEHIND = re.compile(r"\s*")
_decoder = json.JSONDecoder(strict=False)


def members(record: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """The top-level members of an object, as far as it is JSON: name and string value as they stand between the
    quotes; None where the value is no string."""
    text, at = record.decode(errors="surrogateescape"), 0
    while name := _NAME.match(text, at):
        try:
            _, end = _decoder.raw_decode(text, name.end())
        except ValueError:
            return
        value = text[name.end() : end].encode(errors="surrogateescape")
        yield name[1].encode(errors="surrogateescape"), value[1:-1] if value.startswith(b'"') else None
        behind = _BEHIND.match(text, end)
        at = behind.end() if behind else end


def string_member(record: bytes, name: bytes) -> bytes | None:
    return next((value for found, value in members(record) if found == name), None)


def is_status(record: bytes) -> bool:
    return string_member(record, b"ev") == b"status"


def key_of(record: bytes) -> bytes | None:
    """The shard key: a symbol or pair, under the name that the event's layout gives it."""
    event = string_member(record, b"ev")
    if event in KEY_MEMBERS:
        return string_member(record, KEY_MEMBERS[event])
    found = (string_member(record, name) for name in (b"sym", b"pair", b"T"))
    return next((key for key in found if key is not None), None)


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


class Cut(NamedTuple):
    """What a text says so far: its records, the fault and its place, and whether more of the array is wanted."""

    records: list[bytes]
    fault: str | None
    offset_bytes: int


def cut(text: bytes, max_record_bytes: int, *, is_whole: bool = True) -> Cut:
    """Cut a message, or where not `is_whole` its first bytes, into records."""
    records: list[bytes] = []
    wanted, at = "[", 0
    while at < len(text):
        byte = chr(text[at])
        if byte in " \t\r\n":
            at += 1
        elif wanted == "[":
            if byte != "[":
                return Cut(records, NOT_ARRAY, at)
            wanted, at = "{ or ]", at + 1
        elif wanted == "end":
            return Cut(records, TRAILING, at)
        elif wanted == ", or ]":
            if byte not in ",]":
                return Cut(records, NO_SEPARATOR, at)
            wanted, at = "{" if byte == "," else "end", at + 1
        elif byte == "]" and wanted == "{ or ]":
            wanted, at = "end", at + 1
        elif byte != "{":
            return Cut(records, NOT_OBJECT, at)
        else:
            end = object_end(text, at)
            if (end or len(text)) - at > max_record_bytes:
                return Cut(records, TOO_BIG, at)
            if end is None:
                return Cut(records, TRUNCATED if is_whole else None, at)
            records.append(text[at:end])
            wanted, at = ", or ]", end
    if not is_whole or wanted == "end":
        return Cut(records, None, at)
    return Cut(records, NOT_ARRAY if wanted == "[" else TRUNCATED, at)


class Model:
    """Deals the records of frames to `pipes` lists."""

    def __init__(self, pipes: int, route: str, max_frame_bytes: int) -> None:
        self.pipes: list[list[bytes]] = [[] for _ in range(pipes)]
        self.events: list[Event] = []
        self._route = route
        self._max_frame_bytes = max_frame_bytes
        self._dealt_total = 0

    def stream(self, pipe: int) -> bytes:
        """What a reader of the pipe gets."""
        return b"".join(len(record).to_bytes(4, "little") + record for record in self.pipes[pipe])

    def session(self, frames: Sequence[Frame]) -> bytes:
        """Take a session's frames; answer what its end cut off of a record."""
        text, is_text, dealt, in_message, has_fault = b"", False, 0, False, False
        for frame in frames:
            if frame.opcode >= CLOSE:
                self.events.append(Control(frame.opcode, frame.payload))
                continue
            if frame.opcode != CONTINUATION:
                text, is_text, dealt, has_fault = b"", frame.opcode == TEXT, 0, False
            text += frame.payload
            in_message = not frame.fin
            good_bytes = utf8_prefix(text) if is_text else len(text)
            is_failure = good_bytes < len(text) or (frame.fin and is_text and not is_utf8(text))
            records, fault, offset_bytes = cut(
                text[:good_bytes], self._max_frame_bytes, is_whole=frame.fin and not is_failure
            )
            for record in records[dealt:]:
                self._deal(record)
            dealt = len(records)
            if fault and not has_fault:
                self.events.append(Fault(fault, offset_bytes, text[offset_bytes:]))
                has_fault = True
            if is_failure:
                self.events.append(Failure(1007))
                return b""
        if not in_message or has_fault:
            return b""
        at = cut(text, self._max_frame_bytes, is_whole=False).offset_bytes
        return text[at:] if text[at : at + 1] == b"{" else b""

    def _deal(self, record: bytes) -> None:
        if is_status(record):
            self.events.append(Status(record))
            return
        pipes = len(self.pipes)
        if self._route == ROUND_ROBIN:
            pipe = self._dealt_total % pipes
        else:
            key = key_of(record)
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
