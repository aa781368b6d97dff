"""One client, from the TCP connection to its end, in one thread: upgrade, dialogue, data, pings, close.

Law: the outbox holds whole frames only and is sent in order. The next span of data is asked for when the outbox is
empty, so a control frame waits for one span at most, and frames never interleave.
"""

import enum
import math
import threading
import time
from collections import deque
from dataclasses import dataclass
from http import HTTPStatus

from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Event, State
from websockets.server import ServerProtocol

from lb.replay import dialogue
from lb.replay.faults import Fault, Kind
from lb.replay.player import End, Halt, Pause, Player, Playhead, Span
from lb.replay.stage import Stage
from lb.replay.wire import TLS_RECORD_BYTES, WakeUp, Wire

# How long a client may take for the handshake and the upgrade, and to answer a close frame.
_PATIENCE_NS = 30 * 10**9
# The same, once the server itself is to stop.
_HASTE_NS = 10**9
# How long a client that was cut off may take to read that it was, and to close.
_LAST_WORDS_NS = 5 * 10**9


class _Phase(enum.Enum):
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
class _Parcel:
    """Bytes on their way into the kernel, and the span they are, if they are data."""

    rest: memoryview
    span: Span | None = None


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
    """`run` is the thread's body; `evict` and `stop` are for other threads."""

    def __init__(self, wire: Wire, wake_up: WakeUp, stage: Stage) -> None:
        self._wire = wire
        self._wake_up = wake_up
        self._stage = stage
        self._protocol = ServerProtocol()
        self._dialogue = dialogue.Dialogue(stage.house.key, stage.tape.events, stage.faults.take_refusal)
        self._player: Player | None = None
        self._outbox: deque[_Parcel] = deque()
        self._incoming: list[bytes] = []
        self._phase = _Phase.OPENING
        self._encrypted = False
        self._abrupt = False
        self._at_input_end = False
        self._pings = 0
        self._in_haste = False
        self._deadline_ns: float = time.monotonic_ns() + _PATIENCE_NS
        self._next_ping_ns: float = math.inf
        self._next_data_ns: float = math.inf
        self._stalled_until_ns: float = 0
        self._pace = _Pace()
        self._head_of_successor: Playhead | None = None
        self._evicted = threading.Event()
        self._stopped = threading.Event()

    def evict(self) -> None:
        """Says `max_connections` and closes with 1008: the key is used by another connection."""
        self._evicted.set()
        self._wake_up.set()

    def stop(self) -> None:
        """Closes with 1001, or without a word where the client does not read."""
        self._stopped.set()
        self._wake_up.set()

    def run(self) -> None:
        """Serves the client until it or the server ends the connection; raises nothing on the client's account."""
        try:
            while self._phase is not _Phase.OVER:
                self._turn()
        except OSError:
            pass  # The client is gone, or spoke something other than TLS.
        finally:
            for parcel in self._outbox:
                self._count(parcel)
            self._stage.leave(self, self._head_of_successor)
            self._wire.close()
            self._wake_up.close()
            if self._at_input_end:
                self._stage.on_input_end()

    def _turn(self) -> None:
        """One round: obey other threads and the clock, send what there is, wait, read what has come."""
        if self._rests():
            return
        self._keep_time()
        self._encrypted = self._encrypted or self._wire.shake_hands()
        if self._encrypted:
            self._obey_others()
            if self._phase is _Phase.OPEN and self._player is not None and not self._outbox:
                self._pack_data(self._player)
            self._send()
            if self._phase is _Phase.OPEN and time.monotonic_ns() >= self._too_slow_ns():
                self._cut_off()
        elif self._stopped.is_set():
            self._phase = _Phase.OVER
        self._wait()
        if self._encrypted and self._phase is not _Phase.OVER:
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
            if self._phase is _Phase.OPEN:
                self._close(CloseCode.GOING_AWAY)
            elif self._phase is _Phase.OPENING:
                self._phase = _Phase.OVER
        if self._evicted.is_set() and self._phase is _Phase.OPEN:
            self._stage.tally.add(evictions_total=1)
            self._say_max_connections()

    def _say_max_connections(self) -> None:
        self._say(dialogue.MAX_CONNECTIONS)
        self._close(CloseCode.POLICY_VIOLATION)

    def _keep_time(self) -> None:
        now_ns = time.monotonic_ns()
        if now_ns >= self._deadline_ns:
            self._run_out_of_time()
        elif self._phase is _Phase.OPEN and now_ns >= self._next_ping_ns:
            self._ping(now_ns)

    def _run_out_of_time(self) -> None:
        match self._phase:
            case _Phase.OPEN:
                self._say(dialogue.AUTH_TIMEOUT)
                self._close(CloseCode.POLICY_VIOLATION)
            case _Phase.CLOSING if not self._in_haste and not self._outbox:
                self._end(abrupt=False)
            case _:
                self._phase = _Phase.OVER

    def _wait(self) -> None:
        moments_ns = [self._deadline_ns]
        if self._phase is _Phase.OPEN:
            moments_ns.append(self._next_ping_ns)
            moments_ns.append(self._too_slow_ns() if self._outbox else self._next_data_ns)
        if self._phase is not _Phase.OVER:
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
        self._stage.tally.add(pings_total=1)
        self._next_ping_ns = now_ns + self._stage.house.ping_interval_s * 1e9

    def _too_slow_ns(self) -> float:
        """When the client is a slow consumer, unless it reads before."""
        patience = self._stage.house.patience
        waiting = self._waiting_data()
        if patience is None or self._player is None or waiting is None or waiting.span is None:
            return math.inf
        if patience.time_s is not None:
            return waiting.span.due_ns + patience.time_s * 1e9
        assert patience.size_bytes is not None
        room_bytes = patience.size_bytes - len(waiting.rest)
        return 0 if room_bytes < 0 else self._player.due_ns(room_bytes)

    def _waiting_data(self) -> _Parcel | None:
        """The parcel of data that is not in the kernel yet; there is one at most."""
        return next((parcel for parcel in self._outbox if parcel.span is not None), None)

    # Receiving

    def _read(self) -> None:
        data = self._wire.receive()
        if data is None:
            return
        if not data:
            self._phase = _Phase.OVER
        elif self._phase.value < _Phase.ENDING.value:
            self._protocol.receive_data(data)
            for event in self._protocol.events_received():
                self._hear(event)
            self._pack_words()

    def _hear(self, event: Event) -> None:
        if isinstance(event, Request):
            self._upgrade(event)
        elif isinstance(event, Frame) and self._phase is _Phase.OPEN:
            if event.opcode is Opcode.PONG:
                self._stage.tally.add(pongs_total=1)
            elif event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._incoming.append(bytes(event.data))
                if event.fin:
                    text = b"".join(self._incoming)
                    self._incoming.clear()
                    self._answer(self._dialogue.hear(text))

    def _upgrade(self, request: Request) -> None:
        house = self._stage.house
        path = request.path.partition("?")[0]
        if path != house.path:
            text = f"There is no feed at {path}, only at {house.path}.\n"
            self._protocol.send_response(self._protocol.reject(HTTPStatus.NOT_FOUND, text))
            return
        self._protocol.send_response(self._protocol.accept(request))
        if self._protocol.state is State.OPEN:
            now_ns = time.monotonic_ns()
            self._phase = _Phase.OPEN
            self._deadline_ns = now_ns + house.auth_timeout_s * 1e9
            if house.ping_interval_s:
                self._next_ping_ns = now_ns + house.ping_interval_s * 1e9
            self._stage.tally.add(connections_total=1)
            self._say(dialogue.CONNECTED)

    def _answer(self, answer: dialogue.Answer) -> None:
        if answer.text is not None:
            self._say(answer.text)
        if answer.refused:
            self._end(abrupt=True)
            return
        if self._dialogue.authenticated:
            self._deadline_ns = math.inf
        if answer.retuned and not self._at_input_end:
            if self._player is None:
                self._send()  # The younger has its answer before an elder is evicted.
                self._player = self._stage.enter(self)
            self._player.tune(self._dialogue.topics, time.monotonic_ns())
            self._next_data_ns = 0

    # Sending

    def _pack_words(self) -> None:
        """Moves what the protocol has to say (upgrade, texts, control frames) into the outbox, at once after it."""
        for words in self._protocol.data_to_send():
            if words:
                self._outbox.append(_Parcel(memoryview(words)))
            else:  # The sign that the stream is to end: both close frames are out, or the client broke the protocol.
                self._end(abrupt=False)

    def _pack_data(self, player: Player) -> None:
        match player.advance(time.monotonic_ns()):
            case Span() as span:
                self._outbox.append(_Parcel(span.view, span))
                self._next_data_ns = 0
            case Pause(until_ns):
                self._next_data_ns = math.inf if until_ns is None else until_ns
            case Halt.DROP:
                self._stage.tally.add(drops_total=1)
                self._stage.leave(self, player.head)
                self._end(abrupt=True)
            case Fault() as fault:
                self._stage.tally.add(faults_total=1)
                if fault.kind is Kind.SLOW:
                    self._head_of_successor = player.head
                else:
                    self._stage.leave(self, player.head)
                self._suffer(fault)
            case Halt.END:
                self._end_of_input()

    def _suffer(self, fault: Fault) -> None:
        match fault.kind:
            case Kind.DROP:
                self._end(abrupt=True)
            case Kind.RESET:
                self._wire.reset_at_close()
                self._phase = _Phase.OVER
            case Kind.STALL:
                self._stalled_until_ns = time.monotonic_ns() + fault.value * 1e9
            case Kind.SLOW:
                self._pace.slow(fault.value)
            case Kind.CLOSE:
                self._close(int(fault.value))
            case Kind.AUTH_FAILED:
                self._stage.faults.refuse(int(fault.value))
                self._end(abrupt=True)
            case Kind.MAX_CONNECTIONS:
                self._say_max_connections()

    def _end_of_input(self) -> None:
        self._at_input_end = True
        self._player = self._head_of_successor = None
        self._next_data_ns = math.inf
        match self._stage.playback.end:
            case End.CLOSE:
                self._close(CloseCode.NORMAL_CLOSURE)
            case End.ABORT:
                self._end(abrupt=True)
            case End.STAY:
                pass

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
        if self._phase is _Phase.CLOSING and math.isinf(self._deadline_ns):
            self._deadline_ns = time.monotonic_ns() + _PATIENCE_NS
        elif self._phase is _Phase.ENDING:
            self._wire.finish(notify=not self._abrupt)
            self._phase = _Phase.DRAINING

    def _count(self, parcel: _Parcel) -> None:
        """Counts the data of a parcel, as far as it has been sent."""
        if parcel.span is not None:
            sent_bytes = len(parcel.span.view) - len(parcel.rest)
            messages, records = parcel.span.whole_within(sent_bytes)
            self._stage.tally.add(records_total=records, messages_total=messages, sent_bytes=sent_bytes)

    def _say(self, text: bytes) -> None:
        if self._protocol.state is State.OPEN:  # It is not, if the client's close came together with what we answer.
            self._protocol.send_text(text)
            self._pack_words()

    def _cut_off(self) -> None:
        """Says `slow_consumer` and closes. Of the data that waits only what has begun is still sent, in whole
        messages."""
        waiting = self._waiting_data()
        assert waiting is not None
        assert waiting.span is not None
        sent_bytes = len(waiting.span.view) - len(waiting.rest)
        waiting.span = waiting.span.cut_behind(sent_bytes + TLS_RECORD_BYTES)
        waiting.rest = waiting.span.view[sent_bytes:]
        self._stage.tally.add(slow_consumers_total=1)
        self._say(dialogue.SLOW_CONSUMER)
        self._close(CloseCode.POLICY_VIOLATION)
        self._deadline_ns = time.monotonic_ns() + _LAST_WORDS_NS

    def _close(self, code: int) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code)
            self._pack_words()
        self._leave(_Phase.CLOSING)

    def _end(self, abrupt: bool) -> None:
        self._abrupt = abrupt
        self._leave(_Phase.ENDING)

    def _leave(self, phase: _Phase) -> None:
        """No more data. The client's time to answer runs from when all is sent, for it may have to read much before."""
        self._stage.leave(self)
        self._phase = phase
        if not self._in_haste:
            self._deadline_ns = math.inf
