"""Reads tapes from files: recordings of lb-record, or a message per line, a JSON array of records or one record alone;
plain, gzip or Zstandard.

A file is held in memory whole: about twice its uncompressed size, once as messages and once framed.
"""

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import zstandard

from lb.replay.errors import InputError, UsageError
from lb.replay.selection import Begin, Selection
from lb.replay.tape import Message, Tape
from trade_balancer.errors import InputError as NoRecordingError
from trade_balancer.recording.reader import Recording, is_recording

_MARKER = b'{"ev":"lb","dropped":'


@dataclass
class _LeftOut:
    markers: int = 0
    dropped: int = 0
    unusable: int = 0


def read_tape(
    paths: Iterable[Path], selection: Selection | None = None, tell: Callable[[str], object] = lambda text: None
) -> Tape:
    """One tape of these files, in the order given. Blank lines are passed over; `tell` hears what is left out.

    Raises UsageError for a suffix other than .jsonl, .gz or .zst, and InputError, with file and line, for a file that
    cannot be read or a line that is neither an array of objects nor an object; and where nothing is to be played.
    """
    asked = selection or Selection()
    left_out = _LeftOut()
    messages: Iterable[Message] = (message for path in paths for message in _read_messages(path, asked, left_out, tell))
    if asked.begin is not None:
        messages = list(_from(messages, asked.begin))
        if not messages:
            raise InputError("the files end before the time of --from")
    tape = Tape.of_messages(messages)
    if left_out.markers:
        tell(f"the recording lacks {left_out.dropped} records, in {left_out.markers} places: its recorder was too slow")
    if left_out.unusable:
        tell(f"{left_out.unusable} records are no JSON objects, and are left out")
    return tape


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file that is no recording, those that are blank left out. Raises as `read_tape`."""
    _check_suffix(path)
    for line in text_in(path).split(b"\n"):
        if text := line.strip():
            yield text


def opened(path: Path) -> Recording | None:
    """A recording; None for any other file that can be read. Raises InputError."""
    try:
        return Recording(path) if is_recording(path) else None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except NoRecordingError as error:
        raise InputError(str(error)) from None


def _read_messages(
    path: Path, asked: Selection, left_out: _LeftOut, tell: Callable[[str], object]
) -> Iterator[Message]:
    _check_suffix(path)
    recording = opened(path)
    if recording is None:
        if asked.by == "received":
            raise UsageError(f"{path}: no recording of lb-record: nothing says when its records were received")
        yield from _read_lines(path)
        return
    begin = asked.begin
    from_ns = begin.at_ns if begin is not None and not begin.is_offset and asked.by != "t" else None
    with recording:
        for block in recording.blocks(from_ns):
            for time_ns, records in block.batches():
                yield from _messages_of_batch(time_ns, records, asked.by == "t", left_out)
        if recording.damage:
            tell(recording.damage)


def _messages_of_batch(time_ns: int, records: list[bytes], by_t: bool, left_out: _LeftOut) -> Iterator[Message]:
    """A batch is a message; played by `t`, each run of records of one time is."""
    message = _message(records, time_ns)
    if message is None or "lb" in message.events:
        records = list(_playable(records, left_out))
        message = _message(records, time_ns)
    if message is None:
        return
    if not by_t:
        yield message
        return
    for _, run in groupby(records, lambda record: Message.of_records([record]).time_ns):
        yield Message.of_records(list(run))


def _message(records: list[bytes], time_ns: int) -> Message | None:
    """None where one is no object, or there are none."""
    try:
        return Message.of_records(records, time_ns) if records else None
    except ValueError:
        return None


def _playable(records: list[bytes], left_out: _LeftOut) -> Iterator[bytes]:
    for record in records:
        if record.startswith(_MARKER) and record[len(_MARKER) : -1].isdigit():
            left_out.markers += 1
            left_out.dropped += int(record[len(_MARKER) : -1])
        elif _message([record], 0) is None:
            left_out.unusable += 1
        else:
            yield record


def _read_lines(path: Path) -> Iterator[Message]:
    for number, line in enumerate(text_in(path).split(b"\n"), 1):
        if text := line.strip():
            try:
                yield Message.parse(text if text[:1] != b"{" else b"[" + text + b"]")
            except ValueError as error:
                raise InputError(f"{path}:{number}: {error}") from None


def _from(messages: Iterable[Message], begin: Begin) -> Iterator[Message]:
    """Those from the first one on that is not before the time. One without a time has that of the one before."""
    at_ns = None if begin.is_offset else begin.at_ns
    has_begun = False
    for message in messages:
        if not has_begun and message.time_ns is not None:
            if at_ns is None:
                at_ns = message.time_ns + begin.at_ns
            has_begun = message.time_ns >= at_ns
        if has_begun:
            yield message


def _check_suffix(path: Path) -> None:
    if path.suffix not in {".jsonl", ".gz", ".zst"} and path.suffixes[-2:] != [".zst", ".part"]:
        raise UsageError(f"{path}: unknown suffix {path.suffix!r}; known are .jsonl, .gz and .zst")


def text_in(path: Path) -> bytes:
    """All that is in a file, decompressed if its name ends in .gz, .zst or .part. Raises InputError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    try:
        match path.suffix:
            case ".gz":
                return gzip.decompress(content)
            case ".zst" | ".part":
                return _decompress_zstandard(content)
            case _:
                return content
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise InputError(f"{path}: cannot be decompressed: {error}") from None


def _decompress_zstandard(content: bytes) -> bytes:
    """All frames of a Zstandard file. A streaming reader would take a truncated frame for the end of the file."""
    parts: list[bytes] = []
    while content:
        decompressor = zstandard.ZstdDecompressor().decompressobj()
        parts.append(decompressor.decompress(content))
        if not decompressor.eof:
            raise EOFError("the file is truncated")
        content = decompressor.unused_data
    return b"".join(parts)
