"""A client of a tape: the dialogue of the feed, spans of the tape, and its faults. One thread, as `connection`."""

import math
import time
from http import HTTPStatus

from websockets.frames import CloseCode
from websockets.http11 import Request

from lb.replay import dialogue
from lb.replay.connection import Connection, Parcel, Phase
from lb.replay.faults import Fault, Kind
from lb.replay.player import End, Halt, Pause, Player, Playhead, Span
from lb.replay.stage import Stage
from lb.replay.wire import TLS_RECORD_BYTES, WakeUp, Wire

# How long a client that was cut off may take to read that it was, and to close.
_LAST_WORDS_NS = 5 * 10**9


class TapeConnection(Connection):
    """`evict` is for other threads."""

    def __init__(self, wire: Wire, wake_up: WakeUp, stage: Stage) -> None:
        super().__init__(wire, wake_up, stage.tally, stage.house.ping_interval_s)
        self._stage = stage
        self._dialogue = dialogue.Dialogue(stage.house.key, stage.tape.events, stage.faults.take_refusal)
        self._player: Player | None = None
        self._at_input_end = False
        self._head_of_successor: Playhead | None = None

    def evict(self) -> None:
        """Says `max_connections` and closes with 1008: the key is used by another connection."""
        self.order(self._obey_eviction)

    def _obey_eviction(self) -> None:
        self._tally.add(evictions_total=1)
        self._say_max_connections()

    def _say_max_connections(self) -> None:
        self._say(dialogue.MAX_CONNECTIONS)
        self._close(CloseCode.POLICY_VIOLATION)

    def _has_left(self) -> None:
        self._stage.leave(self)

    def _is_ending(self) -> None:
        self._stage.leave(self, self._head_of_successor)

    def _is_over(self) -> None:
        if self._at_input_end:
            self._stage.on_input_end()

    # Dialogue

    def _request(self, request: Request) -> None:
        house = self._stage.house
        path = request.path.partition("?")[0]
        if path != house.path:
            text = f"There is no feed at {path}, only at {house.path}.\n"
            self._protocol.send_response(self._protocol.reject(HTTPStatus.NOT_FOUND, text))
        elif self._open(request):
            self._deadline_ns = time.monotonic_ns() + house.auth_timeout_s * 1e9
            self._say(dialogue.CONNECTED)

    def _run_late(self) -> None:
        self._say(dialogue.AUTH_TIMEOUT)
        self._close(CloseCode.POLICY_VIOLATION)

    def _hear_text(self, text: bytes) -> None:
        answer = self._dialogue.hear(text)
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

    # Data

    def _pack_data(self) -> None:
        if self._player is None:
            return
        match self._player.advance(time.monotonic_ns()):
            case Span() as span:
                self._outbox.append(Parcel(span.view, span))
                self._next_data_ns = 0
            case Pause(until_ns):
                self._next_data_ns = math.inf if until_ns is None else until_ns
            case Halt.DROP:
                self._tally.add(drops_total=1)
                self._stage.leave(self, self._player.head)
                self._end(abrupt=True)
            case Fault() as fault:
                self._tally.add(faults_total=1)
                if fault.kind is Kind.SLOW:
                    self._head_of_successor = self._player.head
                else:
                    self._stage.leave(self, self._player.head)
                self._suffer(fault)
            case Halt.END:
                self._end_of_input()

    def _suffer(self, fault: Fault) -> None:
        match fault.kind:
            case Kind.DROP:
                self._end(abrupt=True)
            case Kind.RESET:
                self._wire.reset_at_close()
                self._phase = Phase.OVER
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

    def _count(self, parcel: Parcel) -> None:
        if parcel.span is not None:
            sent_bytes = len(parcel.span.view) - len(parcel.rest)
            messages, records = parcel.span.whole_within(sent_bytes)
            self._tally.add(records_total=records, messages_total=messages, sent_bytes=sent_bytes)

    # Slow consumers

    def _too_slow_ns(self) -> float:
        patience = self._stage.house.patience
        waiting = self._waiting_data()
        if patience is None or self._player is None or waiting is None or waiting.span is None:
            return math.inf
        if patience.time_s is not None:
            return waiting.span.due_ns + patience.time_s * 1e9
        assert patience.size_bytes is not None
        room_bytes = patience.size_bytes - len(waiting.rest)
        return 0 if room_bytes < 0 else self._player.due_ns(room_bytes)

    def _waiting_data(self) -> Parcel | None:
        """The parcel of data that is not in the kernel yet; there is one at most."""
        return next((parcel for parcel in self._outbox if parcel.span is not None), None)

    def _cut_off(self) -> None:
        """Says `slow_consumer` and closes. Of the data that waits only what has begun is still sent, in whole
        messages."""
        waiting = self._waiting_data()
        assert waiting is not None
        assert waiting.span is not None
        sent_bytes = len(waiting.span.view) - len(waiting.rest)
        waiting.span = waiting.span.cut_behind(sent_bytes + TLS_RECORD_BYTES)
        waiting.rest = waiting.span.view[sent_bytes:]
        self._tally.add(slow_consumers_total=1)
        self._say(dialogue.SLOW_CONSUMER)
        self._close(CloseCode.POLICY_VIOLATION)
        self._deadline_ns = time.monotonic_ns() + _LAST_WORDS_NS
