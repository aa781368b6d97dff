"""A pump between a real socket and real pipes, driven step by step in one thread.

Law: after every single call of run() the books must balance (Rig.check_balance); so every test that uses the rig tests
that, too.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from termios import FIONREAD
from typing import Self

import model
import orjson
from model import Control, Event, Failure, Fault, Frame, Status

from lb.errors import ProtocolError
from lb.pump import (
    ControlFrame,
    Layout,
    Malformed,
    MappingRefused,
    Notice,
    PipeDrained,
    Policy,
    Pump,
    ReaderGone,
    Recovered,
    Resumed,
    Route,
    Source,
    Spill,
    Stalled,
    Vectors,
    Wake,
    account,
)

VENUES = {Layout.POLYGON: model.POLYGON, Layout.BINANCE: model.BINANCE, Layout.BITSTAMP: model.BITSTAMP}
VENUES |= {Layout.COINBASE: model.COINBASE, Layout.KRAKEN: model.KRAKEN}

KEY_MEMBER = "p"
"""What Route.KEY goes by: a number of trades, a string of pairs, and many records have none."""
_LENGTH_BYTES = 4
_IDLE_ROUNDS_MAX = 5
_EVENTS_MAX = 100_000
_PIPE_MEMORY_TIMEOUT_S = 30.0


def set_pipe_size(fd: int, size_bytes: int) -> None:
    """Raises PermissionError where this user may never have such a pipe. What other tests have taken of the memory that
    all pipes of a user share (fs.pipe-user-pages-soft, pipe(7)) is waited for."""
    deadline_s = time.monotonic() + _PIPE_MEMORY_TIMEOUT_S
    while True:
        try:
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, size_bytes)
        except PermissionError:
            largest_bytes = int(Path("/proc/sys/fs/pipe-max-size").read_text())
            if size_bytes > largest_bytes or time.monotonic() > deadline_s:
                raise
            time.sleep(0.01)
        else:
            return


class Rig:
    """`send()` is the feed, `run()` the balancer, `read()` the workers. Use as a context manager."""

    def __init__(
        self,
        *,
        pipes: int = 1,
        route: Route = Route.ROUND_ROBIN,
        key_member: str = KEY_MEMBER,
        source: Source = Source.SOCKET,
        pipe_size_bytes: int = 1 << 16,
        max_frame_bytes: int = 1 << 20,
        high_water_bytes: int = 1 << 16,
        stall_ns: int = 1 << 62,
        retains: bool = False,
        vectors: Vectors = Vectors.AVX512,
        policy: Policy = Policy.BLOCK,
        layout: Layout = Layout.POLYGON,
        spill: Spill | None = None,
    ) -> None:
        self.source = source
        self.high_water_bytes = high_water_bytes
        self.policy = policy
        self.events: list[Event] = []
        """What run() met, in the model's words; a Fault's rest may be shorter than there."""
        self.told: list[PipeDrained | Stalled | Resumed | ReaderGone] = []
        """What run() met of the pipes and readers."""
        self.received = [bytearray() for _ in range(pipes)]
        self._counted = [(0, 0)] * pipes
        """Of `received`: how many bytes were looked at, and the frames in them."""
        self.has_ended = False
        """End of file, or an error, was met."""
        self.is_draining = False
        self.recovered_bytes = 0
        """Of records that recover() has brought, without their lengths."""
        self.is_bytewise = True
        """Whether the books balance in bytes, too: damaged records have none that are known."""
        self._realigned_bytes: int | None = None
        self._unsent = bytearray()
        with ExitStack() as stack:
            self._stack = stack
            self.wake_read_fd, self.wake_write_fd = self._pipe()
            ends = [self._pipe() for _ in range(pipes)]
            self.read_fds, self.write_fds = [read_fd for read_fd, _ in ends], [write_fd for _, write_fd in ends]
            for write_fd in self.write_fds:
                set_pipe_size(write_fd, pipe_size_bytes)
            self._stack = stack.pop_all()
        self._new_pump = partial(
            Pump,
            pipe_fds=self.write_fds,
            route=route,
            key_member=key_member,
            layout=layout,
            max_frame_bytes=max_frame_bytes,
            high_water_bytes=high_water_bytes,
            wake_fd=self.wake_read_fd,
            stall_ns=stall_ns,
            retains=retains,
            vectors=vectors,
            spill=spill,
        )
        self.pump = self._new_pump()
        for pipe in range(pipes):
            self.pump.set_policy(pipe, policy)
        self.attach()

    def _pipe(self) -> tuple[int, int]:
        ends = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        for fd in ends:
            self._stack.callback(os.close, fd)
        return ends

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def adopt(self) -> None:
        """Another pump goes on, as in another process."""
        memory_fd = os.dup(self.pump.memory_fd)
        del self.pump
        try:
            self.pump = self._new_pump(memory_fd=memory_fd)
        except MappingRefused:
            os.close(memory_fd)
            raise
        for pipe, read_fd in enumerate(self.read_fds):
            self.pump.settle_write(pipe, read_fd)
        if not self.has_ended:
            self.pump.go_on(self.session.fileno())
        self.check_balance()

    def take_account(self) -> None:
        """Another pump goes on by what this one tells of itself, in a new session."""
        while self._unsent or self.pump.has_input:
            self.read_all()
            self.send(b"")
        self.detach()
        told, content = account.tell(self.pump, [])
        del self.pump
        self.pump = self._new_pump()
        for pipe in range(len(self.write_fds)):
            self.pump.set_policy(pipe, self.policy)
        account.take(self.pump, orjson.loads(orjson.dumps(told)), content)
        self.check_balance()
        self.attach()

    def attach(self) -> None:
        """Begin a session, the first or another."""
        self.feed, self.session = socket.socketpair()
        for end in (self.feed, self.session):
            end.setblocking(False)
            self._stack.callback(end.close)
        self.has_ended = False
        self.pump.attach(self.source, self.session.fileno())

    def send(self, data: bytes) -> None:
        """Send `data`, and run. What the socket does not take waits for the next call."""
        self._unsent += data
        while True:
            try:
                while self._unsent:
                    del self._unsent[: self.feed.send(self._unsent)]
            except BlockingIOError:
                pass
            before_bytes = len(self._unsent)
            self.run()
            if not before_bytes or self.has_ended or self.pump.counters().stopped:
                return

    def send_frames(self, frames: Iterable[Frame]) -> None:
        self.send(b"".join(map(model.wire, frames)))

    def close_feed(self) -> None:
        """The peer closes its side once all is sent."""
        for _ in self._until(lambda: not self._unsent or self.has_ended):
            self.send(b"")
            self.read_all()
        self.feed.shutdown(socket.SHUT_WR)

    def run(self) -> None:
        """Run until nothing more can be done now."""
        while not self.has_ended:
            assert len(self.events) < _EVENTS_MAX
            reads_before = self.pump.counters().reads_total
            event = self.run_once()
            if event in (Wake.DEADLINE, Wake.DRAINED) and self.pump.counters().reads_total == reads_before:
                return

    def run_once(self) -> Wake | None:
        """One call of Pump.run() without waiting. What it met goes into `events`."""
        try:
            event = self.pump.run(time.monotonic_ns())
        except ProtocolError as error:
            self.events.append(Failure(error.close_code))
            self.detach()
            return None
        finally:
            self.check_balance()
            self.check_stop()
        match event:
            case Notice(text):
                self.events.append(Status(text))
            case ControlFrame(opcode, payload):
                self.events.append(Control(opcode, payload))
            case Malformed(fault, offset_bytes, sample):
                self.events.append(Fault(fault, offset_bytes, sample))
            case PipeDrained() | Stalled() | Resumed() | ReaderGone():
                self.told.append(event)
            case Wake.READABLE:
                self._feed_by_hand()
            case Wake.EOF:
                self.detach()
        return event if isinstance(event, Wake) else None

    def _feed_by_hand(self) -> None:
        got_bytes = self.session.recv_into(self.pump.room())
        if got_bytes:
            self.pump.fed(got_bytes)
        else:
            self.detach()

    def detach(self) -> None:
        """End the session."""
        self.has_ended = True
        self.pump.detach()

    def read(self, pipe: int, most_bytes: int) -> bytes:
        """What a worker gets that asks for that many bytes."""
        try:
            got = os.read(self.read_fds[pipe], most_bytes)
        except BlockingIOError:
            return b""
        self.received[pipe] += got
        if self._realigned_bytes is None and self.queued_bytes(pipe) == 0:
            assert self.pump.pipe_counters(pipe).written_total == self._frames_received(pipe)
        return got

    def _frames_received(self, pipe: int) -> int:
        """How many frames the reader has got whole."""
        received, (at, count) = self.received[pipe], self._counted[pipe]
        while at + _LENGTH_BYTES <= len(received):
            end = at + _LENGTH_BYTES + int.from_bytes(received[at : at + _LENGTH_BYTES], "little")
            if end > len(received):
                break
            at, count = end, count + 1
        self._counted[pipe] = at, count
        return count

    def read_all(self) -> None:
        for pipe in range(len(self.read_fds)):
            while self.read(pipe, 1 << 20):
                pass

    def realign(self, pipe: int) -> int:
        """A worker died: what it left of a record is dropped from the pipe."""
        waiting_before_bytes = self.pump.pipe_counters(pipe).waiting_bytes
        dropped_bytes = self.pump.realign(pipe, self.read_fds[pipe])
        again_bytes = self.pump.pipe_counters(pipe).waiting_bytes - waiting_before_bytes
        self._realigned_bytes = (self._realigned_bytes or 0) + dropped_bytes - again_bytes
        self.check_balance()
        return dropped_bytes

    def redeliver(self, pipe: int) -> int:
        """A worker died: what was not acknowledged waits again, and the pipe is empty."""
        queued_bytes = self.queued_bytes(pipe)
        waiting_before_bytes = self.pump.pipe_counters(pipe).waiting_bytes
        records = self.pump.redeliver(pipe, self.read_fds[pipe])
        again_bytes = self.pump.pipe_counters(pipe).waiting_bytes - waiting_before_bytes
        self._realigned_bytes = (self._realigned_bytes or 0) + queued_bytes - again_bytes
        assert self.queued_bytes(pipe) == 0
        self.check_balance()
        return records

    def recover(self, folder: Path, pipe: int = 0) -> Recovered:
        """Take over what stands in the folder for this pipe."""
        total = Recovered(0, 0, 0, 0)
        for file in sorted(folder.glob(f"{pipe:05}-*.spill")):
            found = self.pump.recover(pipe, int(file.stem.partition("-")[2]))
            total = Recovered(*(one + other for one, other in zip(_values(total), _values(found), strict=True)))
        self.recovered_bytes += total.bytes - _LENGTH_BYTES * total.records
        self.check_balance()
        return total

    def deliver(self) -> None:
        """Let the workers read until nothing waits and nothing is spilled."""
        counters = [self.pump.pipe_counters(pipe) for pipe in range(len(self.read_fds))]
        for _ in self._until(lambda: not any(pipe.waiting_records + pipe.spilled_records for pipe in counters)):
            self.read_all()
            self.run_once()
            counters[:] = [self.pump.pipe_counters(pipe) for pipe in range(len(self.read_fds))]
        self.read_all()

    def finish_spilled(self) -> None:
        """Send the rest, and deliver everything, also what is spilled."""
        self.close_feed()
        for _ in self._until(lambda: self.has_ended and not self.pump.has_input):
            self.run() if not self.has_ended else self.run_once()
            self.read_all()
        self.deliver()
        self.drain()

    def begin_drain(self) -> None:
        self.is_draining = True
        self.pump.drain()

    def drain(self) -> None:
        """End the session, and let the workers read until nothing waits."""
        if not self.has_ended:
            self.detach()
        self.begin_drain()
        events: list[Wake | None] = []
        for _ in self._until(lambda: Wake.DRAINED in events):
            self.read_all()
            events.append(self.run_once())
        self.read_all()

    def finish(self) -> None:
        """Send the rest, close the feed, and deliver everything."""
        self.close_feed()
        for _ in self._until(lambda: self.has_ended):
            self.run()
            self.read_all()
        self.drain()

    def _until(self, is_done: Callable[[], bool]) -> Iterator[None]:
        """Go on until it is done. Fails at once, and not by a time-out, where nothing moves any more."""
        idle_rounds = 0
        while not is_done():
            before = self._state()
            yield
            idle_rounds = 0 if self._state() != before else idle_rounds + 1
            assert idle_rounds < _IDLE_ROUNDS_MAX, "the pump is stuck"

    def _state(self) -> tuple[object, ...]:
        received_bytes = sum(map(len, self.received))
        return len(self._unsent), received_bytes, len(self.events), len(self.told), self.has_ended, self.pump.counters()

    def queued_bytes(self, pipe: int) -> int:
        """What the pipe holds."""
        queued = array("i", [0])
        fcntl.ioctl(self.read_fds[pipe], FIONREAD, queued)
        return queued[0]

    def check_balance(self) -> None:
        """What must be true of the counters at every moment."""
        counters = self.pump.counters()
        pipes = [self.pump.pipe_counters(pipe) for pipe in range(len(self.read_fds))]
        assert counters.records_total == sum(pipe.records_total for pipe in pipes)
        dealt_bytes = sum(len(bytes_) + self.queued_bytes(pipe) for pipe, bytes_ in enumerate(self.received))
        dealt_bytes += (self._realigned_bytes or 0) + sum(pipe.waiting_bytes + pipe.spilled_bytes for pipe in pipes)
        kept_total = counters.records_total - sum(pipe.dropped_total for pipe in pipes)
        kept_total += sum(pipe.recovered_total for pipe in pipes)
        kept_bytes = counters.record_bytes_total - sum(pipe.dropped_bytes_total for pipe in pipes)
        kept_bytes += self.recovered_bytes
        assert not self.is_bytewise or dealt_bytes == kept_bytes + _LENGTH_BYTES * kept_total
        for number, pipe in enumerate(pipes):
            kept_total = pipe.written_total + pipe.waiting_records + pipe.spilled_records
            assert pipe.records_total + pipe.recovered_total == kept_total + pipe.dropped_total
            assert pipe.waiting_records == self.pump.count_waiting(number)
            assert (pipe.waiting_records == 0) == (pipe.waiting_bytes == 0)
            assert pipe.spilled_records > 0 or pipe.spilled_bytes == 0 or not self.is_bytewise
            held_records = pipe.waiting_records + pipe.unacknowledged_records
            held_bytes = pipe.waiting_bytes + pipe.unacknowledged_bytes
            assert self.is_draining or held_bytes <= self.high_water_bytes or held_records == 1
            if self._realigned_bytes is None:
                assert pipe.written_bytes_total == len(self.received[number]) + self.queued_bytes(number)

    def check_stop(self) -> None:
        """Only what a pipe's outbox holds stops the reading. Not of a moment when that was acknowledged since."""
        counters = self.pump.counters()
        if counters.stopped:
            full = self.pump.pipe_counters(counters.full_pipe)
            assert full.waiting_records + full.unacknowledged_records > 0
            assert self.pump.has_input


def _values(found: Recovered) -> list[int]:
    return [getattr(found, name) for name in Recovered.__slots__]


def modelled(
    rig_pipes: int, route: Route, max_frame_bytes: int = 1 << 20, layout: Layout = Layout.POLYGON
) -> model.Model:
    return model.Model(rig_pipes, route.value, max_frame_bytes, VENUES[layout], key_member=KEY_MEMBER.encode())


def assert_delivered(rig: Rig, expected: model.Model) -> None:
    """Every pipe got what the model says, and the events were the same."""
    if expected.is_pipe_open:
        assert_dealt_among(rig, expected.pipes[0])
    else:
        for pipe, received in enumerate(rig.received):
            assert bytes(received) == expected.stream(pipe), f"pipe {pipe}"
    assert_same_events(rig.events, expected.events)
    records_total = sum(map(len, expected.pipes))
    counters = rig.pump.counters()
    assert counters.records_total == records_total
    assert counters.record_bytes_total == sum(len(record) for pipe in expected.pipes for record in pipe)
    assert counters.notices_total == sum(isinstance(event, Status) for event in expected.events)
    assert counters.malformed_total == sum(isinstance(event, Fault) for event in expected.events)
    assert counters.skipped_elements_total == expected.skipped_elements_total
    assert counters.skipped_bytes_total == expected.skipped_bytes_total


def records_in(stream: bytes) -> list[bytes]:
    """The records of a pipe's whole frames."""
    records, at = [], 0
    while at < len(stream):
        end = at + _LENGTH_BYTES + int.from_bytes(stream[at : at + _LENGTH_BYTES], "little")
        assert end <= len(stream)
        records.append(bytes(stream[at + _LENGTH_BYTES : end]))
        at = end
    return records


def assert_dealt_among(rig: Rig, records: list[bytes]) -> None:
    """Each record is in one pipe, and each pipe's are in order."""
    pipes = [records_in(bytes(received)) for received in rig.received]
    assert Counter(records) == Counter(record for pipe in pipes for record in pipe)
    for pipe in pipes:
        left = iter(records)
        assert all(record in left for record in pipe)


def assert_same_events(met: Sequence[Event], expected: Sequence[Event]) -> None:
    """The pump shows a fault's bytes as far as they are received, at most a sample of them."""
    assert [_without_rest(event) for event in met] == [_without_rest(event) for event in expected]
    for one, other in zip(met, expected, strict=True):
        if isinstance(one, Fault) and isinstance(other, Fault):
            assert other.rest.startswith(one.rest)
            assert one.rest or not other.rest


def _without_rest(event: Event) -> Event:
    return Fault(event.fault, event.offset_bytes, b"") if isinstance(event, Fault) else event
