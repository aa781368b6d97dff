"""One client, from the TCP connection to its end, in one thread: upgrade, what is said and sent, pings, close.

Law: the outbox holds whole frames only and is sent in order. More data is asked for when the outbox is empty, so a
control frame waits for one piece of it at most, and frames never interleave. What is said to whom, and which data, is
the business of those that build on this (`tape_connection`, `venue_connection`).
"""

import enum
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Event, State
from websockets.server import ServerProtocol

from lb.replay.player import Span
from lb.replay.tally import Tally
from lb.replay.wire import WakeUp, Wire

# How long a client may take for the handshake and the upgrade, and to answer a close frame.
_PATIENCE_NS = 30 * 10**9
# The same, once the server itself is to stop.
_HASTE_NS = 10**9


class Phase(enum.Enum):
    """Each connection goes through these in order, and may skip some."""

    OPENING = enum.auto()
    """TLS handshake and upgrade."""
    OPEN = enum.auto()
    CLOSING = enum.auto()
    """Our close frame is on its way; the client's is awaited."""
    ENDING = enum.auto()
    """When the outbox is empty, our half of the stream ends."""
    DRAINING = enum.auto()
    """Our half has ended; the client's end is awaited, however long: if we closed before and it then sent anything, a
    reset would destroy what it has not read yet."""
    OVER = enum.auto()


@dataclass
class Parcel:
    """Bytes on their way into the kernel, and the span they are, if they are data of a tape; or how many messages and
    bytes."""

    rest: memoryview
    span: Span | None = None
    messages: int = 0
    size_bytes: int = 0


class _Pace:
    """How fast bytes may go out: as fast as they can, until `slow` is called."""

    def __init__(self) -> None:
        self.next_ns: float = 0
        """Not before this monotonic time."""
        self._bytes_per_s = math.inf

    def slow(self, bytes_per_s: float) -> None:
        self._bytes_per_s = bytes_per_s

    def piece(self, data: memoryview) -> memoryview:
        """What of it may go out at once: what is due in 20 ms, and a byte at least."""
        return data if math.isinf(self._bytes_per_s) else data[: max(1, int(self._bytes_per_s / 50))]

    def has_sent(self, size_bytes: int) -> None:
        self.next_ns = time.monotonic_ns() + size_bytes / self._bytes_per_s * 1e9

    def is_over(self) -> bool:
        """More may go out now."""
        return time.monotonic_ns() >= self.next_ns


class Connection:
    """`run` is the thread's body; `order` and `stop` are for other threads."""

    def __init__(self, wire: Wire, wake_up: WakeUp, tally: Tally, ping_interval_s: float) -> None:
        self._wire = wire
        self._wake_up = wake_up
        self._tally = tally
        self._ping_interval_s = ping_interval_s
        self._protocol = ServerProtocol()
        self._outbox: deque[Parcel] = deque()
        self._incoming: list[bytes] = []
        self._phase = Phase.OPENING
        self._encrypted = False
        self._abrupt = False
        self._pings = 0
        self._in_haste = False
        self._deadline_ns: float = time.monotonic_ns() + _PATIENCE_NS
        self._next_ping_ns: float = math.inf
        self._next_data_ns: float = math.inf
        self._stalled_until_ns: float = 0
        self._pace = _Pace()
        self._orders: deque[Callable[[], None]] = deque()
        self._stopped = threading.Event()

    def _request(self, request: Request) -> None:
        """The client has asked for a path: accept it (`_open`) or send a response."""
        raise NotImplementedError

    def _hear_text(self, text: bytes) -> None:
        """A whole message of the client's."""
        raise NotImplementedError

    def _pack_data(self) -> None:
        """Puts data that is due into the outbox, which is empty, or says when to be asked again."""
        raise NotImplementedError

    def _hear_control(self) -> None:
        """The client has sent a ping or a pong."""

    def _run_late(self) -> None:
        """A deadline that was set for the open session is over."""

    def _too_slow_ns(self) -> float:
        """When the client is a slow consumer, unless it reads before."""
        return math.inf

    def _cut_off(self) -> None:
        """The client is too slow."""

    def _count(self, parcel: Parcel) -> None:
        """Counts the data of a parcel, as far as it has been sent."""
        if parcel.messages and not parcel.rest:
            self._tally.add(records_total=parcel.messages, messages_total=parcel.messages, sent_bytes=parcel.size_bytes)

    def _has_left(self) -> None:
        """No more data is sent on this connection; the client may be told so yet. May be called more than once."""

    def _is_ending(self) -> None:
        """The client has not seen the end of the connection yet, but will at once."""

    def _is_over(self) -> None:
        """The connection is closed, and the thread ends."""

    def order(self, what: Callable[[], None]) -> None:
        """Has something done in the connection's own thread, when it is open next."""
        self._orders.append(what)
        self._wake_up.set()

    def stop(self) -> None:
        """Closes with 1001, or without a word where the client does not read."""
        self._stopped.set()
        self._wake_up.set()

    def run(self) -> None:
        """Serves the client until it or the server ends the connection; raises nothing on the client's account."""
        try:
            while self._phase is not Phase.OVER:
                self._turn()
        except OSError:
            pass  # The client is gone, or spoke something other than TLS.
        finally:
            for parcel in self._outbox:
                self._count(parcel)
            self._is_ending()
            self._wire.close()
            self._wake_up.close()
            self._is_over()

    def _turn(self) -> None:
        """One round: obey other threads and the clock, send what there is, wait, read what has come."""
        if self._rests():
            return
        self._keep_time()
        self._encrypted = self._encrypted or self._wire.shake_hands()
        if self._encrypted:
            self._obey_others()
            if self._phase is Phase.OPEN and not self._outbox:
                self._pack_data()
            self._send()
            if self._phase is Phase.OPEN and time.monotonic_ns() >= self._too_slow_ns():
                self._cut_off()
        elif self._stopped.is_set():
            self._phase = Phase.OVER
        self._wait()
        if self._encrypted and self._phase is not Phase.OVER:
            self._read()

    def _rests(self) -> bool:
        """While it is stalled, and the server is not to stop, nothing is sent and nothing read."""
        left_ns = self._stalled_until_ns - time.monotonic_ns()
        if left_ns <= 0 or self._stopped.is_set():
            return False
        self._wire.rest(None if math.isinf(left_ns) else left_ns / 1e9)
        return True

    # The clock and other threads

    def _obey_others(self) -> None:
        if self._stopped.is_set() and not self._in_haste:
            self._in_haste = True
            self._deadline_ns = time.monotonic_ns() + _HASTE_NS
            if self._phase is Phase.OPEN:
                self._close(CloseCode.GOING_AWAY)
            elif self._phase is Phase.OPENING:
                self._phase = Phase.OVER
        while self._orders and self._phase is Phase.OPEN:
            self._orders.popleft()()

    def _keep_time(self) -> None:
        now_ns = time.monotonic_ns()
        if now_ns >= self._deadline_ns:
            self._run_out_of_time()
        elif self._phase is Phase.OPEN and now_ns >= self._next_ping_ns:
            self._ping(now_ns)

    def _run_out_of_time(self) -> None:
        match self._phase:
            case Phase.OPEN:
                self._run_late()
            case Phase.CLOSING if not self._in_haste and not self._outbox:
                self._end(abrupt=False)
            case _:
                self._phase = Phase.OVER

    def _wait(self) -> None:
        moments_ns = [self._deadline_ns]
        if self._phase is Phase.OPEN:
            moments_ns.append(self._next_ping_ns)
            moments_ns.append(self._too_slow_ns() if self._outbox else self._next_data_ns)
        if self._phase is not Phase.OVER:
            is_paced = bool(self._outbox) and not self._pace.is_over()
            if is_paced:
                moments_ns.append(self._pace.next_ns)
            earliest_ns = min(moments_ns)
            timeout_s = None if math.isinf(earliest_ns) else (earliest_ns - time.monotonic_ns()) / 1e9
            self._wire.wait(timeout_s, for_room=bool(self._outbox) and not is_paced)

    def _ping(self, now_ns: int) -> None:
        """Pings are empty and not, in turn, as those of the feed have been seen to be."""
        self._pings += 1
        self._protocol.send_ping(b"" if self._pings % 2 else b"%d" % self._pings)
        self._pack_words()
        self._tally.add(pings_total=1)
        self._next_ping_ns = now_ns + self._ping_interval_s * 1e9

    # Receiving

    def _read(self) -> None:
        data = self._wire.receive()
        if data is None:
            return
        if not data:
            self._phase = Phase.OVER
        elif self._phase.value < Phase.ENDING.value:
            self._protocol.receive_data(data)
            for event in self._protocol.events_received():
                self._hear(event)
            self._pack_words()

    def _hear(self, event: Event) -> None:
        if isinstance(event, Request):
            self._request(event)
        elif isinstance(event, Frame) and self._phase is Phase.OPEN:
            if event.opcode is Opcode.PONG:
                self._tally.add(pongs_total=1)
            if event.opcode in (Opcode.PING, Opcode.PONG):
                self._hear_control()
            elif event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._incoming.append(bytes(event.data))
                if event.fin:
                    text = b"".join(self._incoming)
                    self._incoming.clear()
                    self._hear_text(text)

    def _open(self, request: Request) -> bool:
        """Accepts the upgrade, if it is one; whether the session is open."""
        self._protocol.send_response(self._protocol.accept(request))
        if self._protocol.state is not State.OPEN:
            return False
        self._phase = Phase.OPEN
        self._deadline_ns = math.inf
        if self._ping_interval_s:
            self._next_ping_ns = time.monotonic_ns() + self._ping_interval_s * 1e9
        self._tally.add(connections_total=1)
        return True

    # Sending

    def _pack_words(self) -> None:
        """Moves what the protocol has to say (upgrade, texts, control frames) into the outbox, at once after it."""
        for words in self._protocol.data_to_send():
            if words:
                self._outbox.append(Parcel(memoryview(words)))
            else:  # The sign that the stream is to end: both close frames are out, or the client broke the protocol.
                self._end(abrupt=False)

    def _send(self) -> None:
        while self._outbox:
            parcel = self._outbox[0]
            if not self._pace.is_over() or not (sent_bytes := self._wire.send(self._pace.piece(parcel.rest))):
                return
            self._pace.has_sent(sent_bytes)
            parcel.rest = parcel.rest[sent_bytes:]
            if not parcel.rest:
                self._outbox.popleft()
                self._count(parcel)
        if self._phase is Phase.CLOSING and math.isinf(self._deadline_ns):
            self._deadline_ns = time.monotonic_ns() + _PATIENCE_NS
        elif self._phase is Phase.ENDING:
            self._wire.finish(notify=not self._abrupt)
            self._phase = Phase.DRAINING

    def _say(self, text: bytes) -> None:
        if self._protocol.state is State.OPEN:  # It is not, if the client's close came together with what we answer.
            self._protocol.send_text(text)
            self._pack_words()

    def _close(self, code: int, reason: str = "") -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
            self._pack_words()
        self._leave(Phase.CLOSING)

    def _end(self, abrupt: bool) -> None:
        self._abrupt = abrupt
        self._leave(Phase.ENDING)

    def _leave(self, phase: Phase) -> None:
        """No more data. The client's time to answer runs from when all is sent, for it may have to read much before."""
        self._has_left()
        self._phase = phase
        if not self._in_haste:
            self._deadline_ns = math.inf
