"""What is kept of a session: the next numbers of both directions, and the last answers.

Law: the size of a store never changes, and what is written is there for the next process, however this one ends.
Quotes are not kept: they are old when they are asked for again, and the engine fills their gap.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from trade_balancer.errors import InputError, MissingExtraError

try:
    from fixcore.store.base import MessageStore
except ImportError:
    raise MissingExtraError("FIX", "fixcore-engine", "fix") from None

_MAGIC = b"lb-fix 1"
_HEAD = struct.Struct("<8sQQd")
"""Magic, next number to send, next to be received, seconds since 1970 when both began with 1."""
_SLOT = struct.Struct("<QH")
"""Number of the message (0: none), bytes of it; then these."""
SLOT_BYTES = 512
SLOTS = 127
SIZE = SLOT_BYTES * (1 + SLOTS)
_QUOTES = (b"\x0135=W\x01", b"\x0135=X\x01")
_TYPE_WITHIN = 32
"""The first three fields are the version, the length and the type."""


class Store(MessageStore):  # type: ignore[misc] # fixcore has no types
    """Of one session; in a file, or (None) in memory.

    Raises:
        InputError: the file cannot be had, or is something else.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._memory = mmap.mmap(-1, SIZE) if path is None else _mapped(path)
        if not any(self._memory[: _HEAD.size]):
            self.reset()

    def next_sender_msg_seq_num(self) -> int:
        return self._numbers()[0]

    def next_target_msg_seq_num(self) -> int:
        return self._numbers()[1]

    def incr_next_sender_msg_seq_num(self) -> None:
        self.set_next_sender_msg_seq_num(self._numbers()[0] + 1)

    def incr_next_target_msg_seq_num(self) -> None:
        self.set_next_target_msg_seq_num(self._numbers()[1] + 1)

    def set_next_sender_msg_seq_num(self, seq_num: int) -> None:
        self._write(seq_num, self._numbers()[1], self._begun_s())

    def set_next_target_msg_seq_num(self, seq_num: int) -> None:
        self._write(self._numbers()[0], seq_num, self._begun_s())

    def get_creation_time(self) -> datetime:
        return datetime.fromtimestamp(self._begun_s(), UTC)

    def set_creation_time(self, when: datetime) -> None:
        self._write(*self._numbers(), when.timestamp())

    def get(self, begin_seq: int, end_seq: int) -> list[bytes]:
        """Those that are still there: of any range, as many as there are slots."""
        found = sorted((number, at, size) for number, at, size in self._slots() if begin_seq <= number <= end_seq)
        return [self._memory[at + _SLOT.size : at + _SLOT.size + size] for number, at, size in found if number]

    def set(self, seq_num: int, message: bytes) -> None:
        room = SLOT_BYTES - _SLOT.size
        if len(message) > room or any(quote in message[:_TYPE_WITHIN] for quote in _QUOTES):
            return
        _, at, _ = min(self._slots())
        _SLOT.pack_into(self._memory, at, 0, 0)
        begin = at + _SLOT.size
        self._memory[begin : begin + len(message)] = message
        _SLOT.pack_into(self._memory, at, seq_num, len(message))

    def reset(self) -> None:
        self._memory[:] = bytes(SIZE)
        self._write(1, 1, datetime.now(UTC).timestamp())

    def refresh(self) -> None:
        """There is nothing else that could have changed."""

    def close(self) -> None:
        self._memory.close()

    def _slots(self) -> Iterator[tuple[int, int, int]]:
        """Number of the message (0: none), where the slot is, bytes of the message."""
        for at in range(SLOT_BYTES, SIZE, SLOT_BYTES):
            number, size = _SLOT.unpack_from(self._memory, at)
            yield number, at, size

    def _numbers(self) -> tuple[int, int]:
        _, sent, received, _ = _HEAD.unpack_from(self._memory)
        return sent, received

    def _begun_s(self) -> float:
        return float(_HEAD.unpack_from(self._memory)[3])

    def _write(self, sent: int, received: int, begun_s: float) -> None:
        _HEAD.pack_into(self._memory, 0, _MAGIC, sent, received, begun_s)


def _mapped(path: Path) -> mmap.mmap:
    """Its file, made where there is none."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(fd).st_size == 0:
                os.posix_fallocate(fd, 0, SIZE)  # a full disk is an error here, and not a signal later
            if os.fstat(fd).st_size != SIZE or os.pread(fd, 8, 0) not in (_MAGIC, bytes(8)):
                raise InputError(f"{path}: no FIX session of ours")
            return mmap.mmap(fd, SIZE)
        finally:
            os.close(fd)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
