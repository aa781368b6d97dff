"""The data plane: class Pump, the C loop behind a typed face.

Law: nothing here is called per record. The loop comes back for what is rare, as one of the events (events.py), or
raises.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from errno import EBADMSG, EINVAL, EIO, EMSGSIZE, EPROTO

from lb.errors import InternalError, KernelTlsFailed, ProtocolError, SessionLost, Unavailable
from lb.pump._pump import ffi, lib
from lb.pump.counters import Counters as Counters
from lb.pump.counters import PipeCounters as PipeCounters
from lb.pump.counters import ReaderCounters as ReaderCounters
from lb.pump.counters import Recovered as Recovered
from lb.pump.counters import Unread as Unread
from lb.pump.events import ControlFrame as ControlFrame
from lb.pump.events import Event as Event
from lb.pump.events import Malformed as Malformed
from lb.pump.events import Notice as Notice
from lb.pump.events import PipeDrained as PipeDrained
from lb.pump.events import ReaderGone as ReaderGone
from lb.pump.events import Resumed as Resumed
from lb.pump.events import Stalled as Stalled
from lb.pump.events import TlsRecord as TlsRecord
from lb.pump.events import Wake as Wake
from lb.pump.layouts import Layout as Layout

MAX_FRAME_BYTES_LIMIT = 1 << 27
"""Upper bound of max_frame_bytes: four bytes of JSON text, read as a length, are always over it (see realign.c)."""


class Source(IntEnum):
    """Where the pump's bytes come from."""

    SOCKET = lib.PUMP_SOURCE_SOCKET
    KTLS = lib.PUMP_SOURCE_KTLS
    CALLER = lib.PUMP_SOURCE_CALLER


class Route(Enum):
    """Which pipe a record goes to, in the words of the command line: the next in turn, the one of its symbol, or the
    one with the least bytes unread, by what waits here and what each pipe held at the last look, some ms ago; or the
    one of what a member of the record says."""

    ROUND_ROBIN = "round-robin"
    SYMBOL = "symbol"
    LEAST_BACKLOG = "least-backlog"
    KEY = "key"


class Policy(IntEnum):
    """What happens where a pipe is full: nothing more is read until there is room, records for it are dropped, or what
    waits goes to the disk."""

    BLOCK = lib.PUMP_POLICY_BLOCK
    DROP_NEWEST = lib.PUMP_POLICY_DROP_NEWEST
    DROP_OLDEST = lib.PUMP_POLICY_DROP_OLDEST
    SPILL = lib.PUMP_POLICY_SPILL


class Vectors(IntEnum):
    """Which instructions deal records: the widest that the CPU has, up to this."""

    BASELINE = lib.PUMP_VECTORS_BASELINE
    AVX2 = lib.PUMP_VECTORS_AVX2
    AVX512 = lib.PUMP_VECTORS_AVX512


@dataclass(frozen=True, slots=True)
class Spill:
    """Where Policy.SPILL puts records: the folder (it stays the caller's, and open), the most bytes that all its files
    may have, and how large one of them gets."""

    folder_fd: int
    max_bytes: int
    segment_bytes: int


Topic = tuple[bytes | None, bytes | None]
"""Kind and key of records, as the layout tells them; None: any."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A record as it came, `record` being its first 240 bytes, and when (CLOCK_MONOTONIC): see Pump.arrivals()."""

    number: int
    received_ns: int
    record: bytes


class PipeFailed(InternalError):
    """Writing to this pipe failed. What waits for it stays, and every run() tries again, until close_pipe()."""

    def __init__(self, pipe: int, errno: int) -> None:
        super().__init__(f"writing to pipe {pipe} failed: {os.strerror(errno)}")
        self.pipe = pipe


class MappingRefused(InternalError):
    """What another process has left is no mapping that this pump can go on with."""


class AccountRefused(InternalError):
    """What another process has told of its pump is nothing that this one can go on with: account.py."""


class SegmentRefused(Unavailable):
    """Spilled records that this pump can't deliver."""


MOST_READERS = lib.PUMP_READERS_MAX
KEY_MEMBER_MAX_BYTES = 63

_SAMPLE_BYTES = 120
_WAKES = frozenset(Wake)

_PROTOCOL_FAULTS = {
    lib.PUMP_ERR_FRAME_RSV: (1002, "frame with a reserved bit set"),
    lib.PUMP_ERR_FRAME_OPCODE: (1002, "frame with a reserved opcode"),
    lib.PUMP_ERR_FRAME_MASKED: (1002, "masked frame from the server"),
    lib.PUMP_ERR_FRAME_LENGTH: (1002, "frame length that is not in its shortest form, or is over 2^63"),
    lib.PUMP_ERR_FRAME_CONTROL: (1002, "control frame that is fragmented or over 125 bytes"),
    lib.PUMP_ERR_FRAME_SEQUENCE: (1002, "frame that does not go on with the message begun"),
    lib.PUMP_ERR_UTF8: (1007, "text that is not UTF-8"),
}

_TLS_FAULTS = {
    EBADMSG: "a TLS record failed its authentication tag",
    EINVAL: "a TLS record is of another version",
    EMSGSIZE: "a TLS record is too long, or is none",
    EIO: "the kernel's TLS has failed",
    EPROTO: "the type of a TLS record was cut off",
}
"""What the kernel's errno means on a socket whose TLS session it holds; on others there is none of them. EPROTO is
receive.c's."""

_MESSAGE_FAULTS = {
    lib.PUMP_ERR_NOT_ARRAY: "message is neither a JSON array nor an object",
    lib.PUMP_ERR_NOT_OBJECT: "element of the array is not an object",
    lib.PUMP_ERR_NO_SEPARATOR: "neither ',' nor ']' behind an object",
    lib.PUMP_ERR_TRAILING: "bytes behind the array or object",
    lib.PUMP_ERR_TRUNCATED: "message ends before its array or object does",
    lib.PUMP_ERR_RECORD_TOO_BIG: "object longer than max_frame_bytes",
}


class Pump:
    """Reads a session, cuts its messages into records and deals them to pipes.

    Owns its memory, with its descriptor, and no other: pipes, the feed's socket and `wake_fd` stay the caller's, and
    open while the pump has them. Not for use by two threads at a time.
    """

    def __init__(
        self,
        *,
        pipe_fds: list[int],
        route: Route,
        key_member: str = "",
        layout: Layout,
        max_frame_bytes: int,
        high_water_bytes: int,
        wake_fd: int,
        stall_ns: int,
        retains: bool = False,
        vectors: Vectors = Vectors.AVX512,
        spill: Spill | None = None,
        memory_fd: int | None = None,
    ) -> None:
        """`pipe_fds`: write ends, O_NONBLOCK. `key_member`: of Route.KEY, the member's name, at most
        KEY_MEMBER_MAX_BYTES as records spell it. `high_water_bytes`: what may wait for one pipe before reading stops.

        `stall_ns`: for how long a full pipe stops the reading until Stalled tells. `retains`: records stay here until
        they are acknowledged, and `high_water_bytes` is the bound of these and of what waits, together. `vectors`: use
        no wider ones, for the tests of each kind. `spill`: for Policy.SPILL, which wants it; not with `retains`.

        `memory_fd`: of a pump that another process had, made with the same words; taken over. What that one knew, this
        one knows, but for readers until go_on_readers(), and sessions until go_on() or detach(). Raises MappingRefused.
        """
        config = ffi.new(
            "struct pump_config *",
            {
                "pipes": len(pipe_fds),
                "route": getattr(lib, f"PUMP_ROUTE_{route.name}"),
                "key_member": key_member.encode(),
                "layout": layout,
                "max_frame_bytes": max_frame_bytes,
                "high_water_bytes": high_water_bytes,
                "retains": retains,
                "wake_fd": wake_fd,
                "stall_ns": stall_ns,
                "vectors": vectors,
                "spill_fd": spill.folder_fd if spill else -1,
                "spill_max_bytes": spill.max_bytes if spill else 0,
                "spill_segment_bytes": spill.segment_bytes if spill else 0,
            },
        )
        pump = lib.pump_new(config) if memory_fd is None else lib.pump_adopt(memory_fd, config)
        if pump == ffi.NULL and memory_fd is not None:
            raise MappingRefused(f"the pump's mapping can't be adopted: {os.strerror(ffi.errno)}")
        if pump == ffi.NULL:
            raise InternalError(f"no memory for {len(pipe_fds)} pipes: {os.strerror(ffi.errno)}")
        self._pump = ffi.gc(pump, lib.pump_free)
        self._pipes = len(pipe_fds)
        self._max_frame_bytes = max_frame_bytes
        self._detail = ffi.new("struct pump_detail *")
        self._counters = ffi.new("struct pump_counters *")
        self._pipe_counters = ffi.new("struct pump_pipe_counters *")
        self._reader_counters = ffi.new("struct pump_reader_counters *")
        self._unread = ffi.new("struct pump_unread *")
        self._sample = ffi.new("struct pump_sample *")
        self._arrival = ffi.new("struct pump_arrival *")
        self._room_bytes = ffi.new("size_t *")
        for number, fd in enumerate(pipe_fds):
            lib.pump_set_pipe(self._pump, number, fd)

    def attach(self, source: Source, fd: int) -> None:
        """Begin a session on a non-blocking socket."""
        lib.pump_attach(self._pump, source, fd)

    def go_on(self, fd: int) -> None:
        """An adopted pump: the session that it had is on this socket."""
        lib.pump_go_on(self._pump, fd)

    @property
    def has_session(self) -> bool:
        """Whether one is attached."""
        return bool(lib.pump_source(self._pump) != lib.PUMP_SOURCE_NONE)

    @property
    def sessions_total(self) -> int:
        """That were attached, by whoever had this pump."""
        return int(lib.pump_sessions_total(self._pump))

    def settle_write(self, pipe: int, read_fd: int) -> None:
        """An adopted pump whose process was killed: where that was amid a write to this pipe, finds out how much the
        pipe took. Before all else; nobody reads the pipe meanwhile."""
        if lib.pump_write_in_flight(self._pump) == pipe:
            lib.pump_settle_write(self._pump, read_fd)

    def stand_in(self, stop_fd: int) -> int:
        """A child goes on with the pump until `stop_fd` is readable, or something is to be decided. Returns its pid.
        Until it has ended, this pump is nobody's. Raises OSError."""
        pid = lib.pump_stand_in(self._pump, stop_fd)
        if pid < 0:
            raise OSError(ffi.errno, os.strerror(ffi.errno))
        return pid

    @property
    def memory_fd(self) -> int:
        """The pump's own, for another process to adopt it between two runs of this one."""
        return lib.pump_memory_fd(self._pump)

    def detach(self) -> None:
        """End the session. What was received whole is still dealt, see has_input."""
        lib.pump_detach(self._pump)

    def drain(self) -> None:
        """End the session for good. What was received is dealt at once, however full pipes are.

        Then run() answers PipeDrained once for each pipe as soon as nothing waits for it, and Wake.DRAINED after the
        last.
        """
        lib.pump_drain(self._pump)

    def close_pipe(self, pipe: int) -> None:
        """Never write to this pipe again. What waits for it stays counted as waiting, and holds up no Wake.DRAINED.

        Under Policy.SPILL it goes to the disk, and waits for the next start.
        """
        lib.pump_close_pipe(self._pump, pipe)

    def set_policy(self, pipe: int, policy: Policy) -> None:
        """What happens from now on to records that find this pipe full; at first Policy.BLOCK."""
        lib.pump_set_policy(self._pump, pipe, policy)

    def recover(self, pipe: int, segment: int) -> Recovered:
        """Take over a segment that an earlier pump has left: those of a pipe in their order, before anything runs.

        Its records come before all others. Raises OSError where it can't be read, SegmentRefused where it may not be.
        """
        found = ffi.new("struct pump_recovered *")
        rc = lib.pump_recover(self._pump, pipe, segment, found)
        if rc == lib.PUMP_ERR_SPILL:
            raise OSError(ffi.errno, os.strerror(ffi.errno))
        if rc == lib.PUMP_ERR_SPILL_VERSION:
            raise SegmentRefused("it was written by another version of lb")
        if rc == lib.PUMP_ERR_SPILL_TOO_LONG:
            raise SegmentRefused(f"it holds a record longer than max_frame_bytes={self._max_frame_bytes}")
        return Recovered(*(getattr(found, name) for name in Recovered.__slots__))

    @property
    def has_input(self) -> bool:
        """Whether run() has received bytes still to deal. No session may begin, nothing be fed, while it has."""
        return bool(lib.pump_has_input(self._pump))

    def run(self, deadline_ns: int) -> Event:
        """Work until something happens that Python decides about, at the latest until deadline_ns (CLOCK_MONOTONIC).

        Raises ProtocolError or SessionLost when the session must end, PipeFailed when a pipe did. Where the system has
        no memory for a moment that is no error: it is tried again after a pause.
        """
        rc = lib.pump_run(self._pump, deadline_ns)
        if rc < 0:
            raise self._error(rc, ffi.errno)
        return Wake(rc) if rc in _WAKES else self._event(rc)

    def room(self) -> memoryview:
        """Where the next bytes of a Source.CALLER session go; tell with fed() how many were put there."""
        start = lib.pump_room(self._pump, self._room_bytes)
        return memoryview(ffi.buffer(start, self._room_bytes[0]))

    def fed(self, count_bytes: int) -> None:
        lib.pump_fed(self._pump, count_bytes)

    def counters(self) -> Counters:
        lib.pump_counters(self._pump, self._counters)
        return Counters(*(getattr(self._counters, name) for name in Counters.__slots__))

    def pipe_counters(self, pipe: int) -> PipeCounters:
        lib.pump_pipe_counters(self._pump, pipe, self._pipe_counters)
        return PipeCounters(*(getattr(self._pipe_counters, name) for name in PipeCounters.__slots__))

    def count_waiting(self, pipe: int) -> int:
        """The records in a pipe's outbox, counted one by one: a proof of `waiting_records`.

        It takes milliseconds where megabytes wait, in which no record is dealt: not for every second.
        """
        return int(lib.pump_count_waiting(self._pump, pipe))

    def add_reader(self, fd: int, policy: Policy, *, has_markers: bool, backlog_bytes: int) -> int:
        """A reader with a pipe of its own, whose write end, O_NONBLOCK, stays the caller's. Returns its number.

        It never holds up anything: at most `backlog_bytes` (64 MiB at most, rounded up to a power of two) wait for it.
        The rest is dropped by its policy, Policy.DROP_OLDEST or DROP_NEWEST. With markers, {"ev":"lb","dropped":N}
        stands in the place of what is missing. It gets nothing before set_topics(). Raises OSError.
        """
        number = lib.pump_add_reader(self._pump, fd, policy, has_markers, backlog_bytes)
        if number < 0:
            raise OSError(ffi.errno, os.strerror(ffi.errno))
        return number

    def go_on_readers(self, write_fds: Mapping[int, int]) -> None:
        """An adopted pump: of the readers that it had, these go on, by their numbers, and no others; each with what
        waits for it. Raises OSError where one can't."""
        for number, fd in write_fds.items():
            if lib.pump_go_on_reader(self._pump, number, fd) < 0:
                raise OSError(ffi.errno, os.strerror(ffi.errno))
        lib.pump_forget_readers(self._pump)

    def remove_reader(self, reader: int) -> None:
        """Write what its pipe has room for, and forget it."""
        lib.pump_remove_reader(self._pump, reader)

    def reader_counters(self, reader: int) -> ReaderCounters:
        """Of a reader that was added and not removed."""
        lib.pump_reader_counters(self._pump, reader, self._reader_counters)
        return ReaderCounters(*(getattr(self._reader_counters, name) for name in ReaderCounters.__slots__))

    def set_topics(self, of_readers: Mapping[int, Iterable[Topic]], of_pipes: Iterable[Topic] | None) -> None:
        """Who gets which records from now on. `of_pipes` None: pipes get all. Raises OSError for want of memory."""
        rcs = [lib.pump_clear_topics(self._pump, of_pipes is not None)]
        wishes = [*of_readers.items(), *([] if of_pipes is None else [(lib.PUMP_PIPES, of_pipes)])]
        for who, topics in wishes:
            rcs += [lib.pump_add_topic(self._pump, who, *_word(kind), *_word(key)) for kind, key in topics]
        if any(rcs):
            raise OSError(ffi.errno, os.strerror(ffi.errno))

    def layouts(self) -> list[bytes]:
        """Samples of records that the fast path could not cut, the first of each event, in the order they came."""
        samples: list[bytes] = []
        while lib.pump_sample(self._pump, len(samples), self._sample):
            samples.append(bytes(ffi.buffer(self._sample.bytes, self._sample.length)))
        return samples

    def acknowledge(self, pipe: int, records_total: int) -> bool:
        """Its readers, one after the other, have finished so many records in all: these are not retained any more.

        Returns False, and changes nothing, where so many were not written.
        """
        return bool(lib.pump_acknowledge(self._pump, pipe, records_total) == 0)

    def listen(self, pipe: int, channel_fd: int, reader_fd: int) -> None:
        """A reader begins with the first record that is not acknowledged. What it acknowledges on its channel
        (SOCK_SEQPACKET, non-blocking), as of the pipe `reader_fd`, is taken there as soon as room is needed; all else
        is left to the caller. `channel_fd` -1: no more, to be told before it is closed."""
        lib.pump_listen(self._pump, pipe, channel_fd, reader_fd)

    def listen_again(self, pipe: int, channel_fd: int, reader_fd: int) -> None:
        """An adopted pump: the reader that it had is still there."""
        lib.pump_listen_again(self._pump, pipe, channel_fd, reader_fd)

    def redeliver(self, pipe: int, read_fd: int) -> int:
        """After a reader's death: what was not acknowledged is written once more, from the begin of a record on.

        Returns how many records were written already. Not for a pipe of which PipeDrained was told. Raises OSError.
        """
        records = lib.pump_redeliver(self._pump, pipe, read_fd)
        if records < 0:
            raise OSError(ffi.errno, os.strerror(ffi.errno), f"pipe {pipe}")
        return int(records)

    def arrivals(self, least_number: int) -> list[Arrival]:
        """Records as they came: the first of each session, and one every 20 ms at most, in their order, from the one
        numbered `least_number` on. Those of the last seconds are kept."""
        found: list[Arrival] = []
        while lib.pump_arrival(self._pump, least_number, self._arrival):
            found.append(self._taken_arrival())
            least_number = found[-1].number + 1
        return found

    def newest(self) -> Arrival | None:
        """A record of the newest read that brought any; its number is that of the next of arrivals()."""
        return self._taken_arrival() if lib.pump_newest(self._pump, self._arrival) else None

    def _taken_arrival(self) -> Arrival:
        arrival = self._arrival
        return Arrival(arrival.number, arrival.received_ns, bytes(ffi.buffer(arrival.bytes, arrival.length)))

    def realign(self, pipe: int, read_fd: int) -> int:
        """Drop what a dead reader left of a half-read record; return how many bytes that was. Raises OSError."""
        dropped_bytes = lib.pump_realign(self._pump, pipe, read_fd)
        if dropped_bytes < 0:
            raise OSError(ffi.errno, os.strerror(ffi.errno), f"pipe {pipe}")
        return dropped_bytes

    def unread(self, pipe: int, read_fd: int) -> Unread:
        """Read a pipe that has no reader any more to its end, and count what nobody took. Raises OSError.

        Counted are the records that were written whole and not read whole, and their bytes, lengths included, as far
        as nobody has read them. A record written in part is not: all of it is waiting, again, and stays so. So what
        was written was read or is unread, and what was dealt is in one of `written`, `waiting` and `dropped`.
        """
        if lib.pump_unread(self._pump, pipe, read_fd, self._unread) < 0:
            raise OSError(ffi.errno, os.strerror(ffi.errno), f"pipe {pipe}")
        return Unread(self._unread.records, self._unread.bytes)

    def _event(self, rc: int) -> Event:
        lib.pump_detail(self._pump, self._detail)
        detail = self._detail
        if rc == lib.PUMP_STALLED:
            return Stalled(detail.pipe)
        if rc == lib.PUMP_RESUMED:
            return Resumed(detail.pipe, detail.stalled_ns)
        if rc == lib.PUMP_PIPE_DRAINED:
            return PipeDrained(detail.pipe)
        if rc == lib.PUMP_READER_GONE:
            return ReaderGone(detail.pipe)
        length = min(detail.length, _SAMPLE_BYTES) if rc == lib.PUMP_MALFORMED else detail.length
        content = bytes(ffi.buffer(detail.bytes, length))
        if rc == lib.PUMP_NOTICE:
            return Notice(content)
        if rc == lib.PUMP_CONTROL:
            return ControlFrame(detail.opcode, content)
        if rc == lib.PUMP_TLS_RECORD:
            return TlsRecord(detail.opcode, content, bool(detail.end))
        return Malformed(_MESSAGE_FAULTS[detail.error], detail.message_offset_bytes, content)

    def _error(self, rc: int, errno: int) -> Exception:
        if rc == lib.PUMP_ERR_FRAME_TOO_BIG:
            return ProtocolError(1009, f"frame over max_frame_bytes={self._max_frame_bytes}")
        if rc in _PROTOCOL_FAULTS:
            return ProtocolError(*_PROTOCOL_FAULTS[rc])
        if rc == lib.PUMP_ERR_RECV:
            is_of_tls = errno in _TLS_FAULTS
            reason = f"receiving failed: {_TLS_FAULTS[errno] if is_of_tls else os.strerror(errno)}"
            return KernelTlsFailed(reason) if is_of_tls else SessionLost(reason)
        if rc == lib.PUMP_ERR_PIPE:
            lib.pump_detail(self._pump, self._detail)
            return PipeFailed(self._detail.pipe, errno)
        return InternalError(f"poll failed: {os.strerror(errno)}")


def description() -> dict[str, int]:
    """What a mapping of this pump looks like, in numbers: one with others can't be adopted."""
    found = ffi.new("struct pump_description *")
    lib.pump_describe(found)
    names = ("version", "description", "pump_bytes", "pipe_bytes", "spill_bytes")
    return {name: getattr(found, name) for name in names}


def _word(word: bytes | None) -> tuple[object, int]:
    """As C takes it: where it is, and its length."""
    return (ffi.NULL, 0) if word is None else (word, len(word))
