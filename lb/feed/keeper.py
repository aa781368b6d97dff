"""Keeps one session with the feed: opens it, watches over it, opens the next.

    state       event                        action                                   next state
    Waiting     its time has come            start an attempt                         Opening
    Opening     the attempt has a session    attach it, begin the dialogue            Talking
                the attempt failed           log                                      Waiting, with back-off
                ATTEMPT_TIMEOUT_S passed     abandon it                               Waiting, with back-off
    Talking     the dialogue is ready        log                                      Open
                a step takes too long,       close, log                               Waiting, with back-off
                an end, an error
    Open        it is old, or the venue asks open a second session beside it       Open
                that one is due to be taken  a close frame, read on                    Ending
                no byte for ping_after_s     ping
                no byte for lost_after_s,    close, log                               as behind Ending
                an end, an error
    Talking,    the feed ends the session,   remember why, read on                    Ending
    Open        sending fails
    Ending      the end of the stream,       close, log                               Succeeding where there is a
                no byte for ENDING_S                                                  second session; else Waiting
    Succeeding  the second session is due,   attach it                                Open
                all of the first is dealt
                it has failed                log                                      Waiting, with back-off
    any         stop()                       close                                    Stopped

Law: the pump has the session's descriptor exactly in the states Talking, Open and Ending; a second session's is its
successor's until it is attached. What the feed has sent before its session ends is read to the end, whatever sending
says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from lb import logs
from lb.backoff import Backoff
from lb.config import Config, OnQuiet
from lb.errors import (
    FeedClosed,
    FeedSilent,
    KernelTlsFailed,
    LbError,
    OnceOver,
    ProtocolError,
    Refused,
    SessionError,
    SessionLetGo,
    SessionLost,
    Superseded,
)
from lb.feed import dialogue as said
from lb.feed.dialogue import Action, Dialogue
from lb.feed.history import History, tell_end
from lb.feed.pace import Pace
from lb.feed.pulse import Pulse
from lb.feed.renewal import Renewal
from lb.feed.session import Attempt, Opener, Security, Session, frames
from lb.feed.states import Ending, Open, Opening, State, Stopped, Succeeding, Talking, Waiting
from lb.feed.successor import RESEND_S, Successor, Watching
from lb.feed.topics import Topics
from lb.feed.venue import Venue
from lb.feed.vitals import Vitals
from lb.pump import ControlFrame, Notice, Pump, Source, TlsRecord
from lb.ration import Ration

ATTEMPT_TIMEOUT_S = 60.0
"""For everything that opens a session, the dialogue included."""
LEAST_DELAY_S = 0.25
MOST_DELAY_S = 30.0
STABLE_S = 10.0
"""A session this old works: only then are earlier failures forgotten (two clients on one key would else fight)."""
ENDING_S = 2.0
"""How long the feed may take to close a session that is over."""
LONGEST_ENDING_S = 30.0
"""The same, while it goes on sending in one that we have closed."""
WORDS_PER_S = 50
"""Of the feed's own that are logged; the rest is counted."""

_NEVER_NS = 1 << 62


class Keeper:
    """Drives the pump's session. `watching` makes the pump come back."""

    def __init__(self, config: Config, venue: Venue, security: Security, pump: Pump, watching: Watching) -> None:
        self._config = config
        self._venue = venue
        self._security = security
        self._opener = Opener(config.endpoint, config.proxy, security)
        self._pump = pump
        self._watching = watching
        self._backoff = Backoff(LEAST_DELAY_S, MOST_DELAY_S)
        self._vitals = Vitals(venue.health, pump)
        self._words = Ration(WORDS_PER_S)
        self._pace = Pace(venue.send_gap_s)
        self._pulse = Pulse(config, venue, pump)
        self.gaps = self._pulse.gaps
        self._renewal = Renewal(None if config.once else venue.renew_after_s, self._start_successor)
        self.history = History(config.endpoint.url)
        self.topics = Topics(config, venue)
        self.is_held = False  # no session is opened while it is, nor a second one
        self.state: State = Waiting(0)
        self.tls = "none"

    @property
    def deadline_ns(self) -> int:
        """When tend() has something to do next. Not before the pump has dealt what it has, where that is waited for."""
        match self.state:
            case Waiting(due_ns):
                return _NEVER_NS if self._pump.has_input or self.is_held else due_ns
            case Opening(attempt, until_ns):
                return until_ns if not attempt.has_ended else _NEVER_NS if self._pump.has_input else 0
            case Talking(session) | Open(session) if session.unsent_bytes:
                return time.monotonic_ns() + int(RESEND_S * 1e9)
            case Talking(until_ns=until_ns):
                return min(until_ns, self._vitals.due_ns, self._pace.deadline_ns)
            case Open():
                return min(
                    self._vitals.due_ns, self.topics.deadline_ns, self._pulse.due_ns, self._pace.deadline_ns,
                    _NEVER_NS if self.is_held else self._renewal.deadline_ns,
                )  # fmt: skip
            case Ending(until_ns=until_ns):
                return until_ns
            case Succeeding(successor):
                return _NEVER_NS if successor.is_due and self._pump.has_input else successor.deadline_ns
            case Stopped():
                return _NEVER_NS

    @property
    def socket_bytes(self) -> int:
        """What the session's socket holds that was not read yet; with TLS, as it came."""
        return 0 if (session := self._session) is None else session.unread_bytes

    def status(self) -> dict[str, object]:
        """What there is to tell about the session and its topics."""
        return {
            "state": self.state.name,
            "url": self._config.endpoint.url,
            "tls": self.tls,
            "socket_bytes": self.socket_bytes,
            **self.topics.subscriptions.status(),
            **self.history.status(),
            **self.gaps.status(),
        }

    def tend(self, now_ns: int) -> None:
        """Do what is due. Raises LbError when no session will ever succeed."""
        match self.state:
            case Waiting(due_ns) if now_ns >= due_ns and not self._pump.has_input and not self.is_held:
                until_ns = now_ns + int(ATTEMPT_TIMEOUT_S * 1e9)
                self.state = Opening(Attempt(self._opener, self._watching.wake), until_ns)
            case Opening(attempt, until_ns):
                self._await_attempt(attempt, until_ns, now_ns)
            case Talking(session, _, until_ns):
                self._sending(session.flush)
                self._say(now_ns)
                self._check_progress(until_ns, now_ns)
            case Open(session):
                self._sending(session.flush)
                self._say(now_ns)
                self._check_health(now_ns)
                self._check_records(now_ns)
                self._check_topics(now_ns)
                self._check_age(now_ns)
            case Ending() as ending if now_ns >= ending.until_ns:
                self._await_end(ending, now_ns)
            case Succeeding() as succeeding:
                self._await_successor(succeeding, now_ns)

    def retune(self) -> None:
        """The wishes have changed: ask the session for what is new, and take back what nobody wants."""
        self.topics.want()
        self._pulse.want(self.topics.wishes.base)
        self._ask_for_changes()

    def _ask_for_changes(self) -> None:
        """What changes while something waits to be said is asked for together, behind it. Where there are two sessions,
        of both, but for the last moments of the first."""
        successor = self._renewal.successor
        if not isinstance(self.state, Open) or self._pace.is_busy or (successor is not None and successor.is_complete):
            return  # the next session is asked for all of it
        fresh, over = self.topics.changes(time.monotonic_ns())
        if fresh or over:
            self._obey(self.state.dialogue.change(fresh, over))
            if successor is not None:
                successor.change(fresh, over)

    def begin_anew(self, topics: Sequence[str]) -> None:
        """Take these back and ask for them again: some feeds tell the whole of a thing when it is asked for, and then
        its changes. What the feed has not acknowledged yet begins by itself."""
        if isinstance(self.state, Open):
            topics = [topic for topic in topics if topic in self.topics.subscriptions.acknowledged]
            self._obey(self.state.dialogue.change([], topics))
            self._obey(self.state.dialogue.change(topics, []))

    def readable(self) -> None:
        """The pump has room, and the session's socket may have something."""
        if (session := self._session) is not None:
            self._guarded(lambda: self._pump.fed(session.read_into(self._pump.room())))

    def notice(self, notice: Notice) -> None:
        """The feed has said something about the session itself."""
        match self.state:
            case Talking(dialogue=dialogue) | Open(dialogue=dialogue):
                self._obey(dialogue.receive(notice.text))
                self._ask_for_changes()
            case _:
                logs.debug("the feed says, behind its session's end", text=notice.text[:200].decode("utf-8", "replace"))

    def control(self, frame: ControlFrame) -> None:
        """A ping is answered, a close is answered and obeyed (RFC 6455 sections 5.5.1 to 5.5.3)."""
        if self._session is None:
            return
        if frame.opcode == frames.PING:
            self._send(frames.PONG, frame.payload)
        elif frame.opcode == frames.CLOSE:
            error = frames.close_error(frame.payload)
            if isinstance(error, FeedClosed):
                self._send(frames.CLOSE, frame.payload[:2])
            self.lost(error)

    def ended(self) -> None:
        """The connection has ended without a close frame."""
        if (session := self._session) is not None:
            how = "close_notify" if session.needs_close_notify else "a close frame"
            self.lost(SessionLost(f"connection closed without {how}"))

    def tls_record(self, record: TlsRecord) -> None:
        """A TLS record that is no application data has come to the kernel's session."""
        if (session := self._session) is not None:
            self._guarded(lambda: session.control_record(record))

    def _guarded(self, receive: Callable[[], None]) -> None:
        try:
            receive()
        except EOFError:
            self.lost(SessionLost("connection closed without a close frame"))
        except SessionLost as error:
            self.lost(error)

    def lost(self, error: SessionError) -> None:
        """Give the session up. Raises LbError where a new session would not mend it."""
        session = self._session
        if session is None:  # the fault is in the rest of a session that is over
            return
        cut_off_bytes = self._leave(session, error)
        state = self.state
        error = state.error if isinstance(state, Ending) else error
        began_ns = state.began_ns if isinstance(state, Open | Ending) else None
        age_s = None if began_ns is None else (time.monotonic_ns() - began_ns) / 1e9
        if age_s is not None and age_s >= STABLE_S:
            self._backoff.reset()
        successor = self._renewal.successor
        is_seamless = successor is not None and successor.is_complete
        if not is_seamless:
            is_normal = self._config.once and isinstance(error, FeedClosed) and error.is_normal
            tell_end(error, age_s, cut_off_bytes, is_what_was_asked=is_normal)
        if successor is not None and began_ns is not None and error.retry:
            successor.hurry()
            self.state = Succeeding(successor, error, began_ns, is_seamless)
        else:
            self._wait(error, was_open=began_ns is not None)

    def _leave(self, session: Session, error: SessionError) -> int:
        """Returns how many bytes of a record this has cut off."""
        cut_off_before = self._pump.counters().cut_off_bytes_total
        self._pump.detach()
        session.close(error.close_code if isinstance(error, ProtocolError) else None)
        if isinstance(error, KernelTlsFailed):
            self._security.kernel_failed(error, time.monotonic_ns())
        return self._pump.counters().cut_off_bytes_total - cut_off_before

    def stop(self) -> None:
        """Close the session; no other follows."""
        self._pulse.look_for_gap_end(time.monotonic_ns())
        self._renewal.abandon()
        if isinstance(self.state, Opening):
            self.state.attempt.abandon()
        self._pump.detach()
        if (session := self._session) is not None:
            session.close(frames.NORMAL_CLOSURE)
        self.state = Stopped()

    @property
    def _session(self) -> Session | None:
        match self.state:
            case Talking(session) | Open(session) | Ending(session):
                return session
            case _:
                return None

    def _wait(self, error: LbError, *, was_open: bool = False) -> None:
        """Raises what no new session would mend."""
        self._renewal.abandon()
        self.history.end(time.time(), error)
        self.state = Waiting(0 if isinstance(error, SessionLetGo) else _NEVER_NS)
        if isinstance(error, SessionLetGo):
            return
        if self._config.once and was_open and isinstance(error, SessionError) and error.retry:
            raise OnceOver(error)
        least_delay_s = error.least_delay_s if isinstance(error, SessionError) else 0.0
        if isinstance(error, Refused) and self._config.key.read_again():
            logs.warning("the key has changed: trying the new one")
        elif not error.retry:
            raise error
        delay_s = self._backoff.next_delay_s(least_delay_s)
        self.state = Waiting(time.monotonic_ns() + int(delay_s * 1e9))
        logs.info("next session", delay_s=delay_s)

    def _await_attempt(self, attempt: Attempt, until_ns: int, now_ns: int) -> None:
        if attempt.has_ended and not self._pump.has_input:
            if attempt.session is not None:
                self._attach(attempt.session, until_ns)
            elif attempt.error is not None:
                self._tell_no_session(attempt.error)
        elif not attempt.has_ended and now_ns >= until_ns:
            attempt.abandon()
            self._tell_no_session(FeedSilent(f"no session within {ATTEMPT_TIMEOUT_S:g} s"))

    def _tell_no_session(self, error: LbError) -> None:
        logs.error("no session", reason=str(error))
        self._wait(error)

    def _attach(self, session: Session, until_ns: int) -> None:
        """The pump reads from the first byte behind the upgrade on."""
        now_ns = time.monotonic_ns()
        self.topics.begin_session(now_ns)
        dialogue = self._venue.dialogue(self._config.key.reveal(), self.topics.subscriptions.certain)
        self.state = Talking(session, dialogue, until_ns)
        self._pace.begin()
        self._pulse.attach()
        self._vitals.begin_talk(now_ns)
        self._begin(session, session.early)
        self._obey(dialogue.begin())
        if session.source is Source.CALLER:
            self.readable()  # the upgrade may have received more than it read

    def _begin(self, session: Session, early: bytes) -> None:
        """`early`: what was received before the pump reads."""
        self.tls = session.description
        self._pump.attach(session.source, session.fileno())
        if early:
            self._pump.room()[: len(early)] = early
            self._pump.fed(len(early))

    def _start_successor(self) -> Successor:
        return Successor(
            self._opener, self._watching, self._venue, self._config.key.reveal(),
            topics=lambda: self.topics.subscriptions.certain,
            needed=lambda: self.topics.needed(time.monotonic_ns()),
            newest=self._pulse.newest,
            most_bytes=self._config.max_frame_bytes,
        )  # fmt: skip

    def _check_age(self, now_ns: int) -> None:
        if not isinstance(self.state, Open) or self.is_held:
            return
        self._renewal.tend(now_ns)
        if (successor := self._renewal.successor) is not None and successor.is_due:
            self._send(frames.CLOSE, frames.close_payload(frames.NORMAL_CLOSURE))
            if isinstance(self.state, Open):
                reason = Superseded("a second session goes on in its place")
                self.state = Ending.of(self.state, reason, ENDING_S, LONGEST_ENDING_S)

    def _await_end(self, ending: Ending, now_ns: int) -> None:
        """While bytes come, there may be more of what the feed had sent before it ends the session."""
        until_ns = min(now_ns + int((ENDING_S - self._vitals.quiet_s(now_ns)) * 1e9), ending.latest_ns)
        if now_ns < until_ns:
            self.state = replace(ending, until_ns=until_ns)
        else:
            self.lost(ending.error)

    def _await_successor(self, succeeding: Succeeding, now_ns: int) -> None:
        successor = succeeding.successor
        successor.tend(now_ns)
        if successor.error is not None:
            logs.error("no session", reason=str(successor.error))
            self._wait(succeeding.error, was_open=True)
        elif successor.is_due and not self._pump.has_input:
            self._take(succeeding)

    def _take(self, was: Succeeding) -> None:
        successor, now_ns = was.successor, time.monotonic_ns()
        session, early = successor.take()
        self._renewal.taken()
        self.history.end(time.time(), was.error)
        self._pace = successor.pace
        self.topics.take_session(successor.topics, successor.acknowledged)
        self._pulse.attach(is_seamless=was.is_seamless)
        self._begin(session, early)
        self._open(session, successor.dialogue, now_ns)
        self.history.tell_begin(after=was.error if was.is_seamless else None)
        self.retune()
        if session.source is Source.CALLER:
            self.readable()  # more may have been received than was read

    def _obey(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case said.Send(text):
                    self._pace.want(text)
                case said.Ready():
                    self._ready()
                case said.Acknowledged(topic):
                    if self.topics.acknowledge(topic):
                        self.retune()
                case said.Left(topic):
                    self.topics.left(topic)
                case said.Rejected(text, topic):
                    self.topics.subscriptions.reject(text, topic)
                    self._log_word(logs.warning, "the feed reports an error", text=text, topic=topic)
                case said.Refused(topics, text, topic):
                    self.topics.subscriptions.refuse(topics, text, topic)
                    self._log_word(logs.error, "the feed refuses topics", text=text, topics=topics[:20], reason=topic)
                case said.Said(status, text):
                    self._log_word(logs.info, "the feed says", status=status, text=text)
                case said.Renew(error) if isinstance(self.state, Open) and not self._config.once:
                    logs.warning(str(error))  # what it sends meanwhile comes in this session
                    self._renewal.hasten(time.monotonic_ns())
                case said.Ended(error) | said.Renew(error):
                    self._end(error)
        self._say(time.monotonic_ns())

    def _say(self, now_ns: int) -> None:
        was_busy = self._pace.is_busy
        while (text := self._pace.take(now_ns)) is not None:
            self._send(frames.TEXT, text)
        if was_busy and not self._pace.is_busy:
            self._ask_for_changes()

    def _log_word(self, log: Callable[..., None], message: str, **values: object) -> None:
        if self._words.allows(time.monotonic_ns()):
            unlogged = self._words.left_out()
            log(message, **values, **({"unlogged": unlogged} if unlogged else {}))

    def _ready(self) -> None:
        if isinstance(self.state, Talking):
            self._open(self.state.session, self.state.dialogue, time.monotonic_ns())
            self.history.tell_begin()
            self.retune()

    def _open(self, session: Session, dialogue: Dialogue, now_ns: int) -> None:
        self.state = Open(session, dialogue, now_ns)
        self.history.begin(time.time(), self.tls)
        self._vitals.begin(now_ns)
        self.topics.asked(now_ns)
        self._pulse.begin(now_ns)
        self._renewal.begin(now_ns)

    def _end(self, error: SessionError) -> None:
        """It is over, but for what the feed has sent already. Of a refused key nothing more is to come."""
        if not error.retry:
            self.lost(error)
        elif isinstance(self.state, Talking | Open):
            is_ours = isinstance(error, SessionLetGo)
            (logs.info if is_ours else logs.error)(str(error))
            self.state = Ending.of(self.state, error, ENDING_S, LONGEST_ENDING_S if is_ours else ENDING_S)

    def _send(self, opcode: int, payload: bytes) -> None:
        if isinstance(self.state, Talking | Open):
            session = self.state.session
            self._pace.sent(time.monotonic_ns())
            self._sending(lambda: session.send(opcode, payload))

    def _sending(self, send: Callable[[], None]) -> None:
        try:
            send()
        except SessionLost as error:
            self._end(error)

    def _check_progress(self, until_ns: int, now_ns: int) -> None:
        try:
            if now_ns >= until_ns:
                raise FeedSilent(f"no session within {ATTEMPT_TIMEOUT_S:g} s")
            self._vitals.check_talk(now_ns)
        except FeedSilent as error:
            self.lost(error)

    def _check_health(self, now_ns: int) -> None:
        if not isinstance(self.state, Open):
            return
        try:
            if self._vitals.check(now_ns):
                ping = self._venue.health.ping
                self._send(*((frames.PING, b"") if ping is None else (frames.TEXT, ping)))
        except FeedSilent as error:
            self.lost(error)

    def _check_records(self, now_ns: int) -> None:
        if not isinstance(self.state, Open) or now_ns < self._pulse.due_ns:
            return
        if (quiet_s := self._pulse.look(now_ns)) is not None:
            logs.error("no record from a session that lives", for_s=quiet_s)
            if self._config.on_quiet is OnQuiet.RECONNECT:
                self.lost(FeedSilent(f"no record for {quiet_s:.1f} s"))

    def _check_topics(self, now_ns: int) -> None:
        if isinstance(self.state, Open) and self.topics.tend(now_ns):
            self.retune()
