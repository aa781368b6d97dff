"""A pump's account: what another pump, whose mapping looks otherwise, must know to go on. Numbers by their names, and
the bytes that wait; no session.

    bytes: [ of pipe 0: retained frames, waiting frames, what was read back of its spill | pipe 1 ... | of each reader ]

Law: the account depends on no layout. A number that one of the two does not know is left out, and nothing that was
received is lost for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from lb.pump import AccountRefused, Pump
from lb.pump._pump import ffi, lib

VERSION = 1
"""To be raised where a pump of the version before would misunderstand one, or can't hold it: an outbox takes what
high_water_bytes say, and what a session's input can hold besides."""

_STATE = "struct pump_reader_state *"


def tell(pump: Pump, readers: Iterable[int]) -> tuple[dict[str, Any], bytes]:
    """Where no session is, and nothing to deal. `readers`: the numbers of those that are attached."""
    whole = ffi.new("struct pump_account *")
    lib.pump_tell(pump._pump, whole)
    pipes, content = [], []
    for pipe in range(pump._pipes):
        account = ffi.new("struct pump_pipe_account *")
        lib.pump_tell_pipe(pump._pump, pipe, account)
        frames = ffi.new("uint8_t[]", _frames_bytes(account) + 1)
        lib.pump_tell_frames(pump._pump, pipe, frames)
        pipes.append(_numbers(account))
        content.append(bytes(ffi.buffer(frames, _frames_bytes(account))))
    told_readers = {}
    for reader in readers:
        told_readers[str(reader)], waiting = reader_state(pump, reader)
        content.append(waiting)
    counters = _numbers(ffi.addressof(whole.counters))
    own = {"next_pipe": whole.next_pipe, "arrivals_total": whole.arrivals_total}
    return {"counters": counters, **own, "pipes": pipes, "readers": told_readers}, b"".join(content)


def take(pump: Pump, told: Mapping[str, Any], content: bytes) -> None:
    """A new pump, which has dealt nothing yet and has its pipes, goes on with it. Raises AccountRefused."""
    known = {name: told[name] for name in ("next_pipe", "arrivals_total")}
    lib.pump_take(pump._pump, _struct("struct pump_account *", {**known, "counters": told["counters"]}))
    at = 0
    for pipe, numbers in enumerate(told["pipes"]):
        account = _struct("struct pump_pipe_account *", numbers)
        end = at + _frames_bytes(account)
        if end > len(content) or lib.pump_take_pipe(pump._pump, pipe, account, content[at:end]) < 0:
            raise AccountRefused(f"what waits for pipe {pipe} can't be taken over")
        at = end
    for reader, numbers in told["readers"].items():
        end = at + numbers["counters"]["waiting_bytes"]
        restore_reader(pump, int(reader), numbers, content[at:end])
        at = end


def reader_state(pump: Pump, reader: int) -> tuple[dict[str, Any], bytes]:
    """Of one reader: the numbers, and the bytes that wait for it."""
    waiting = ffi.new("uint8_t[]", pump.reader_counters(reader).waiting_bytes + 1)
    state = ffi.new(_STATE)
    lib.pump_reader_state(pump._pump, reader, state, waiting)
    numbers = {**_numbers(state), "counters": _numbers(ffi.addressof(state.counters))}
    return numbers, bytes(ffi.buffer(waiting, state.counters.waiting_bytes))


def restore_reader(pump: Pump, reader: int, numbers: Mapping[str, Any], waiting: bytes) -> None:
    """It goes on, under its number. Raises AccountRefused."""
    if numbers["counters"]["waiting_bytes"] != len(waiting):
        raise AccountRefused(f"what waits for reader {reader} is not there")
    if lib.pump_restore_reader(pump._pump, reader, _struct(_STATE, numbers), waiting) < 0:
        raise AccountRefused(f"reader {reader} can't be taken over: {os.strerror(ffi.errno)}")


def _frames_bytes(account: Any) -> int:
    return int(account.retained_bytes + account.waiting_bytes + account.front_bytes)


def _numbers(struct: Any) -> dict[str, int]:
    fields = ffi.typeof(struct).item.fields
    return {name: int(getattr(struct, name)) for name, field in fields if field.type.kind == "primitive"}


def _struct(kind: str, numbers: Mapping[str, Any]) -> Any:
    """With what is known of these; the rest is zero."""
    struct = ffi.new(kind)
    _fill(struct, numbers)
    return struct


def _fill(struct: Any, numbers: Mapping[str, Any]) -> None:
    for name, field in ffi.typeof(struct).item.fields:
        if name in numbers and field.type.kind == "struct":
            _fill(ffi.addressof(getattr(struct, name)), numbers[name])
        elif name in numbers:
            setattr(struct, name, numbers[name])
