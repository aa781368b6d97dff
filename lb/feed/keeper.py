"""Keeps one session with the feed: opens it, watches over it, opens the next.

    state     event                     action                                    next state
    WAITING   its time has come         start an attempt                          OPENING
    OPENING   the attempt ended         give the pump what the feed said till     OPEN, or WAITING with back-off
              ATTEMPT_TIMEOUT_S passed  abandon it                                WAITING with back-off
    OPEN      15 s without a byte       ping
              30 s, an end, an error    close, log                                WAITING with back-off
              a status of the end       go on reading; at most 2 s
    any       stop()                    close                                     STOPPED

Law: the pump has a session's descriptor exactly while the state is OPEN.
"""

from __future__ import annotations

import enum
import struct
import time
from collections.abc import Callable

from lb import logs
from lb.backoff import Backoff
from lb.config import Config, Tls
from lb.errors import LbError, ProtocolError, SessionError, SessionLost
from lb.feed.session import Attempt, Session, close_reason
from lb.feed.venues import polygon
from lb.pump import ControlFrame, Notice, Pump, Source, TlsRecord

PING_AFTER_S = 15.0
LOST_AFTER_S = 30.0
ATTEMPT_TIMEOUT_S = 60.0
LEAST_DELAY_S = 0.25
MOST_DELAY_S = 30.0
STABLE_S = 10.0
"""A session this old has shown that it works: only then are earlier failures forgotten (two clients on one key would
else fight)."""
ENDING_S = 2.0
"""How long the feed may take to close a session that it has said it ends."""

_OPCODE_CLOSE, _OPCODE_PING, _OPCODE_PONG = 0x8, 0x9, 0xA
_NEVER_NS = 1 << 62


class State(enum.Enum):
    WAITING = enum.auto()
    OPENING = enum.auto()
    OPEN = enum.auto()
    STOPPED = enum.auto()


class Feed:
    """Drives the pump's session. `tls`: who holds TLS sessions. `wake` makes the pump come back, from any thread."""

    def __init__(self, config: Config, tls: Tls, pump: Pump, wake: Callable[[], None]) -> None:
        self._config = config
        self._tls = tls
        self._pump = pump
        self._wake = wake
        self._backoff = Backoff(LEAST_DELAY_S, MOST_DELAY_S)
        self._attempt: Attempt | None = None
        self._session: Session | None = None
        self._ending: SessionError | None = None
        self._pinged_ns = 0
        self._began_ns = 0
        self.state = State.WAITING
        self._due_ns = 0
        self.sessions_total = 0
        self.tls = "none"

    @property
    def deadline_ns(self) -> int:
        """When tend() has something to do next. Not before the pump has dealt what it has, where that is waited for."""
        is_over = self.state is State.WAITING or (self._attempt is not None and self._attempt.has_ended)
        return _NEVER_NS if is_over and self._pump.has_input else self._due_ns

    def tend(self, now_ns: int) -> None:
        """Do what is due. Raises LbError when no session will ever succeed."""
        if self.state is State.OPENING:
            self._finish_attempt(now_ns)
        elif self.state is State.WAITING and now_ns >= self._due_ns and not self._pump.has_input:
            self._attempt = Attempt(self._config, self._tls, self._wake)
            self.state = State.OPENING
            self._due_ns = now_ns + int(ATTEMPT_TIMEOUT_S * 1e9)
        elif self.state is State.OPEN and now_ns >= self._due_ns:
            self._check_health(now_ns)

    def readable(self) -> None:
        """The pump has room, and the session's socket may have something."""
        assert self._session is not None
        try:
            self._pump.fed(self._session.read_into(self._pump.room()))
        except EOFError:
            self.ended()
        except SessionLost as error:
            self.lost(error)

    def status(self, record: Notice) -> None:
        """The feed has said something about the session itself."""
        status = polygon.Status.parse(record.text)
        ending = polygon.ending_of(status)
        if ending is not None and self._session is not None and self._ending is None:
            logs.error(str(ending))
            self._ending = ending
            self._due_ns = time.monotonic_ns() + int(ENDING_S * 1e9)
        elif status.status == "error":
            logs.warning("the feed reports an error", text=status.message)
        elif status.status not in ("connected", "auth_success"):
            logs.info("the feed says", status=status.status, text=status.message)

    def control(self, frame: ControlFrame) -> None:
        """A ping is answered, a close is answered and obeyed (RFC 6455 sections 5.5.1 to 5.5.3)."""
        if self._session is None:
            return
        try:
            if frame.opcode == _OPCODE_PING:
                self._session.send(_OPCODE_PONG, frame.payload)
            elif frame.opcode == _OPCODE_CLOSE:
                check_close(frame.payload)
                self._session.send(_OPCODE_CLOSE, frame.payload[:2])
        except SessionError as error:
            self.lost(error)
            return
        if frame.opcode == _OPCODE_CLOSE:
            self.lost(SessionLost(f"the feed closed the session: {close_reason(frame.payload)}"))

    def ended(self) -> None:
        """The connection has ended without a close frame."""
        assert self._session is not None
        how = "close_notify" if self._session.needs_close_notify else "a close frame"
        self.lost(SessionLost(f"connection closed without {how}"))

    def tls_record(self, record: TlsRecord) -> None:
        """A TLS record that is no application data has come to the kernel's session."""
        assert self._session is not None
        try:
            self._session.control_record(record)
        except EOFError:
            self.lost(SessionLost("connection closed without a close frame"))
        except SessionLost as error:
            self.lost(error)

    def lost(self, error: SessionError) -> None:
        """Give the session up. Raises `error` itself where a new session would not mend it."""
        cut_off_before = self._pump.counters().cut_off_bytes_total
        close_code = error.close_code if isinstance(error, ProtocolError) else None
        error = self._ending or error
        self._pump.detach()
        if self._attempt is not None:  # the fault is in what the feed said before the session began
            self._attempt.abandon(close_code)
            self._attempt_failed(error)
            return
        if self._session is None:  # the fault is in the rest of a session that is over
            return
        self._session.close(close_code)
        age_s = (time.monotonic_ns() - self._began_ns) / 1e9
        cut_off_bytes = self._pump.counters().cut_off_bytes_total - cut_off_before
        logs.warning("session lost", reason=str(error), age_s=age_s, cut_off_bytes=cut_off_bytes)
        if age_s >= STABLE_S:
            self._backoff.reset()
        self._session = None
        self._wait(error)

    def stop(self) -> None:
        """Close the session; no other follows."""
        if self._attempt is not None:
            self._attempt.abandon(1000)
            self._attempt = None
        self._pump.detach()
        if self._session is not None:
            self._session.close(1000)
            self._session = None
        self.state = State.STOPPED
        self._due_ns = _NEVER_NS

    def _wait(self, error: LbError) -> None:
        self.state = State.WAITING
        self._ending = None
        if not (isinstance(error, SessionError) and error.retry):
            raise error
        delay_s = self._backoff.next_delay_s(error.least_delay_s)
        self._due_ns = time.monotonic_ns() + int(delay_s * 1e9)
        logs.info("next session", delay_s=delay_s)

    def _finish_attempt(self, now_ns: int) -> None:
        attempt = self._attempt
        assert attempt is not None
        if not attempt.has_ended:
            if now_ns >= self._due_ns:
                attempt.abandon(1000)
                self._attempt_failed(SessionLost(f"no session within {ATTEMPT_TIMEOUT_S:g} s"))
            return
        while attempt.messages and not self._pump.has_input:
            self._give(*attempt.messages.pop(0))
            self._due_ns = now_ns  # come back as soon as the pump has dealt with it
        if attempt.messages or self._pump.has_input:
            return
        if attempt.error is not None:
            self._attempt_failed(attempt.error)
        elif attempt.session is not None:
            self._attempt = None
            self._open(attempt.session)

    def _attempt_failed(self, error: LbError) -> None:
        self._attempt = None
        logs.error("no session", reason=str(error))
        self._wait(error)

    def _open(self, session: Session) -> None:
        self._session = session
        self._began_ns = time.monotonic_ns()
        self.sessions_total += 1
        self.tls = session.description
        self.state = State.OPEN
        self._due_ns = self._began_ns + int(PING_AFTER_S * 1e9)
        self._pump.attach(session.source, session.fileno())
        logs.info("session open", url=self._config.endpoint.url, tls=session.description)
        if session.source is Source.CALLER:
            self.readable()  # the dialogue may have received more than it read

    def _give(self, opcode: int, message: bytes) -> None:
        """Put a message that websocket-client took off its frames back into one, for the pump to read."""
        frame = _frame_header(opcode, len(message)) + message
        self._pump.room()[: len(frame)] = frame
        self._pump.fed(len(frame))

    def _check_health(self, now_ns: int) -> None:
        if self._ending is not None:
            self.lost(self._ending)
            return
        counters = self._pump.counters()
        quiet_s = 0.0 if counters.stopped else (now_ns - counters.last_input_ns) / 1e9
        if quiet_s >= LOST_AFTER_S:
            self.lost(SessionLost(f"no byte from the feed for {quiet_s:.1f} s"))
            return
        is_answered = self._pinged_ns < counters.last_input_ns
        if quiet_s >= PING_AFTER_S and is_answered:
            is_answered = False
            self._pinged_ns = now_ns
            assert self._session is not None
            try:
                self._session.send(_OPCODE_PING, b"")
            except SessionLost as error:
                self.lost(error)
                return
        limit_s = PING_AFTER_S if is_answered else LOST_AFTER_S
        self._due_ns = now_ns + int((limit_s - quiet_s) * 1e9)


def _frame_header(opcode: int, length_bytes: int) -> bytes:
    """A server's header of a message in one frame (RFC 6455 section 5.2)."""
    first = 0x80 | opcode
    if length_bytes < 126:
        return struct.pack("!BB", first, length_bytes)
    if length_bytes <= 0xFFFF:
        return struct.pack("!BBH", first, 126, length_bytes)
    return struct.pack("!BBQ", first, 127, length_bytes)


def check_close(payload: bytes) -> None:
    """Raises ProtocolError for a close frame that RFC 6455 sections 5.5.1 and 7.4 do not allow."""
    if len(payload) == 1:
        raise ProtocolError(1002, "close frame of 1 byte, expected none or at least 2")
    if len(payload) >= 2:
        code = int.from_bytes(payload[:2], "big")
        if not (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) and not 3000 <= code <= 4999:
            raise ProtocolError(1002, f"close frame with the reserved code {code}")
        try:
            payload[2:].decode()
        except UnicodeDecodeError:
            raise ProtocolError(1007, "close reason that is not UTF-8") from None
