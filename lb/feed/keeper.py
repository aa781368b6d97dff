"""Keeps one session with the feed: opens it, watches over it, opens the next.

    state       event                        action                                   next state
    Waiting     its time has come            start an attempt                         Opening
    Opening     the attempt has a session    attach it, begin the dialogue            Talking
                the attempt failed           log                                      Waiting, with back-off
                ATTEMPT_TIMEOUT_S passed     abandon it                               Waiting, with back-off
    Talking     the dialogue is ready        log                                      Open
                a step takes too long,       close, log                               Waiting, with back-off
                an end, an error
    Open        no byte for ping_after_s     ping
                no byte for lost_after_s,    close, log                               Waiting, with back-off
                an end, an error
    Talking,    the feed ends the session,   remember why, read on                    Ending
    Open        sending fails
    Ending      the end of the stream,       close, log                               Waiting, with back-off
                ENDING_S passed
    any         stop()                       close                                    Stopped

Law: the pump has the session's descriptor exactly in the states Talking, Open and Ending. What the feed has sent before
its session ends is read to the end, whatever sending says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

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
)
from lb.feed import dialogue as said
from lb.feed.dialogue import Action
from lb.feed.gaps import Gaps
from lb.feed.history import History
from lb.feed.mute import Mute
from lb.feed.pace import Pace
from lb.feed.quiet import Quiet
from lb.feed.session import Attempt, Opener, Security, Session, frames, limits
from lb.feed.states import Ending, Open, Opening, State, Stopped, Talking, Waiting
from lb.feed.subscriptions import Subscriptions
from lb.feed.venue import Venue
from lb.feed.wishes import Wishes
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
ACKNOWLEDGE_S = 10.0
"""A topic that the feed has not acknowledged by then is told."""
GAP_LOOK_S = 1.0
"""Between two looks whether the first record of a session has come; the pump keeps it for longer."""
WORDS_PER_S = 50
"""Of the feed's own that are logged; the rest is counted."""
RESEND_S = 0.01
"""Between two tries to send what the connection had no room for."""

_NEVER_NS = 1 << 62


class Keeper:
    """Drives the pump's session. `wake` makes the pump come back, from any thread."""

    def __init__(self, config: Config, venue: Venue, security: Security, pump: Pump, wake: Callable[[], None]) -> None:
        self._config = config
        self._venue = venue
        self._security = security
        self._opener = Opener(config.endpoint, config.proxy, security)
        self._pump = pump
        self._wake = wake
        self._backoff = Backoff(LEAST_DELAY_S, MOST_DELAY_S)
        self._health_due_ns = 0
        self._pinged_ns = 0
        self._acknowledge_due_ns = _NEVER_NS
        self._words = Ration(WORDS_PER_S)
        self._pace = Pace(venue.send_gap_s)
        self._quiet = Quiet(config)
        self._mute = Mute(config, venue.topics_of)
        self._arrival = 0
        self.gaps = Gaps(venue.sent_ns)
        self._history = History()
        self._gap_due_ns = _NEVER_NS
        self.wishes = Wishes(config.subscribe, config.linger_s, venue.topic)
        self.subscriptions = Subscriptions(self.wishes.of_all())
        self.is_retuned = False
        """What the feed may send has changed: whoever must know sets it back."""
        self.is_held = False  # no session is opened while it is
        self.state: State = Waiting(0)
        self.sessions_total = 0
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
                return min(until_ns, self._health_due_ns, self._pace.deadline_ns)
            case Open():
                return min(
                    self._health_due_ns, self._acknowledge_due_ns, self._quiet.due_ns, self._gap_due_ns,
                    self.wishes.deadline_ns, self._pace.deadline_ns,
                )  # fmt: skip
            case Ending(until_ns=until_ns):
                return until_ns
            case Stopped():
                return _NEVER_NS

    @property
    def is_serving(self) -> bool:
        """Whether the feed has acknowledged all the topics; ACKNOWLEDGE_S later, any of them."""
        said, is_late = self.subscriptions, self._acknowledge_due_ns == _NEVER_NS
        return isinstance(self.state, Open) and (not said.unacknowledged or (is_late and bool(said.acknowledged)))

    @property
    def socket_bytes(self) -> int:
        """What the session's socket holds that was not read yet; with TLS, as it came."""
        return 0 if (session := self._session) is None else session.unread_bytes

    def status(self) -> dict[str, object]:
        """What there is to tell about the session and its topics."""
        return {
            "state": type(self.state).__name__.lower(),
            "url": self._config.endpoint.url,
            "tls": self.tls,
            "sessions_total": self.sessions_total,
            "socket_bytes": self.socket_bytes,
            **self.subscriptions.status(),
            **self._history.status(),
            **self.gaps.status(),
        }

    def tend(self, now_ns: int) -> None:
        """Do what is due. Raises LbError when no session will ever succeed."""
        match self.state:
            case Waiting(due_ns) if now_ns >= due_ns and not self._pump.has_input and not self.is_held:
                self._start_attempt(now_ns)
            case Opening(attempt, until_ns):
                self._await_attempt(attempt, until_ns, now_ns)
            case Talking(session, _, until_ns):
                self._flush(session)
                self._say(now_ns)
                self._check_progress(until_ns, now_ns)
            case Open(session):
                self._flush(session)
                self._say(now_ns)
                self._check_health(session, now_ns)
                self._check_acknowledgements(now_ns)
                self._check_records(now_ns)
                self._check_wishes(now_ns)
                if now_ns >= self._gap_due_ns:
                    self._look_for_gap_end(now_ns)
            case Ending(error=error, until_ns=until_ns) if now_ns >= until_ns:
                self.lost(error)

    def retune(self) -> None:
        """The wishes have changed: ask for what is new, and take back what nobody wants."""
        self.subscriptions.want(self.wishes.of_all(self.subscriptions.acknowledged))
        self._mute.want(self.wishes.base)
        self._ask_for_changes()

    def _ask_for_changes(self) -> None:
        """What changes while something waits to be said is asked for together, behind it."""
        if not isinstance(self.state, Open) or self._pace.is_busy:
            return  # the next session is asked for all of it
        fresh, over = self.subscriptions.changes()
        if fresh or over:
            logs.info("topics changed", subscribe=fresh[:20], unsubscribe=over[:20])
            self._acknowledge_due_ns = time.monotonic_ns() + int(ACKNOWLEDGE_S * 1e9)
            self.is_retuned = True
            self._obey(self.state.dialogue.change(fresh, over))

    def begin_anew(self, topics: Sequence[str]) -> None:
        """Take these back and ask for them again: some feeds tell the whole of a thing when it is asked for, and then
        its changes. What the feed has not acknowledged yet begins by itself."""
        if isinstance(self.state, Open):
            topics = [topic for topic in topics if topic in self.subscriptions.acknowledged]
            self._obey(self.state.dialogue.change([], topics))
            self._obey(self.state.dialogue.change(topics, []))

    def readable(self) -> None:
        """The pump has room, and the session's socket may have something."""
        if (session := self._session) is None:
            return
        try:
            self._pump.fed(session.read_into(self._pump.room()))
        except EOFError:
            self.ended()
        except SessionLost as error:
            self.lost(error)

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
        session = self._session
        if session is None:
            return
        if frame.opcode == frames.PING:
            self._send(frames.PONG, frame.payload)
        elif frame.opcode == frames.CLOSE:
            try:
                code = frames.close_code(frame.payload)
            except ProtocolError as error:
                self.lost(error)
                return
            self._send(frames.CLOSE, frame.payload[:2])
            is_normal = code in (None, frames.NORMAL_CLOSURE, frames.GOING_AWAY)
            reason = f"the feed closed the session: {frames.close_reason(frame.payload)}"
            self.lost(FeedClosed(reason, is_normal=is_normal))

    def ended(self) -> None:
        """The connection has ended without a close frame."""
        if (session := self._session) is not None:
            how = "close_notify" if session.needs_close_notify else "a close frame"
            self.lost(SessionLost(f"connection closed without {how}"))

    def tls_record(self, record: TlsRecord) -> None:
        """A TLS record that is no application data has come to the kernel's session."""
        if (session := self._session) is None:
            return
        try:
            session.control_record(record)
        except EOFError:
            self.lost(SessionLost("connection closed without a close frame"))
        except SessionLost as error:
            self.lost(error)

    def lost(self, error: SessionError) -> None:
        """Give the session up. Raises LbError where a new session would not mend it."""
        session = self._session
        if session is None:  # the fault is in the rest of a session that is over
            return
        cut_off_before = self._pump.counters().cut_off_bytes_total
        self._pump.detach()
        session.close(error.close_code if isinstance(error, ProtocolError) else None)
        cut_off_bytes = self._pump.counters().cut_off_bytes_total - cut_off_before
        if isinstance(error, KernelTlsFailed):
            self._security.kernel_failed(error, time.monotonic_ns())
        state = self.state
        error = state.error if isinstance(state, Ending) else error
        began_ns = state.began_ns if isinstance(state, Open | Ending) else None
        if began_ns is None:
            logs.error("no session", reason=str(error))
        else:
            age_s = (time.monotonic_ns() - began_ns) / 1e9
            is_what_was_asked = self._config.once and isinstance(error, FeedClosed) and error.is_normal
            log, what = (logs.info, "session over") if is_what_was_asked else (logs.warning, "session lost")
            log(what, reason=str(error), age_s=age_s, cut_off_bytes=cut_off_bytes)
            if age_s >= STABLE_S:
                self._backoff.reset()
        self._wait(error, was_open=began_ns is not None)

    def stop(self) -> None:
        """Close the session; no other follows."""
        self._look_for_gap_end(time.monotonic_ns())
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
        self._history.end(time.time(), error)
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

    def _start_attempt(self, now_ns: int) -> None:
        until_ns = now_ns + int(ATTEMPT_TIMEOUT_S * 1e9)
        self.state = Opening(Attempt(self._opener, self._wake), until_ns)

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
        self.wishes.tend(time.monotonic_ns())
        self.subscriptions.want(self.wishes.of_all())
        dialogue = self._venue.dialogue(self._config.key.reveal(), self.subscriptions.certain)
        self.state = Talking(session, dialogue, until_ns)
        self.tls = session.description
        self._pace.begin()
        self.subscriptions.begin_session()
        self.is_retuned = True
        self._look_for_gap_end(time.monotonic_ns())
        self.gaps.begin(self._pump.newest())
        self._pump.attach(session.source, session.fileno())
        self._health_due_ns = time.monotonic_ns() + int(limits.STEP_TIMEOUT_S * 1e9)
        if session.early:
            self._pump.room()[: len(session.early)] = session.early
            self._pump.fed(len(session.early))
        self._obey(dialogue.begin())
        if session.source is Source.CALLER:
            self.readable()  # the upgrade may have received more than it read

    def _obey(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case said.Send(text):
                    self._pace.want(text)
                case said.Ready():
                    self._ready()
                case said.Acknowledged(topic):
                    self.subscriptions.acknowledge(topic)
                    if self._venue.topic(topic)[1] is None:
                        self.retune()  # what it brings is no longer wanted by itself
                case said.Left(topic):
                    self.subscriptions.left(topic)
                    self.is_retuned = True
                case said.Rejected(text, topic):
                    self.subscriptions.reject(text, topic)
                    self._log_word(logs.warning, "the feed reports an error", text=text, topic=topic)
                case said.Refused(topics, text, topic):
                    self.subscriptions.refuse(topics, text, topic)
                    self._log_word(logs.error, "the feed refuses topics", text=text, topics=topics[:20], reason=topic)
                case said.Said(status, text):
                    self._log_word(logs.info, "the feed says", status=status, text=text)
                case said.Ended(error):
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
            now_ns = time.monotonic_ns()
            self.state = Open(self.state.session, self.state.dialogue, now_ns)
            self.sessions_total += 1
            self._history.begin(time.time(), self.tls)
            self._health_due_ns = now_ns + int(self._venue.health.ping_after_s * 1e9)
            self._acknowledge_due_ns = now_ns + int(ACKNOWLEDGE_S * 1e9)
            self._quiet.begin(self._pump.counters().market_total, now_ns)
            self._mute.begin()
            self._gap_due_ns = now_ns
            logs.info("session open", url=self._config.endpoint.url, tls=self.tls)
            self.retune()

    def _end(self, error: SessionError) -> None:
        """It is over, but for what the feed has sent already. Of a refused key nothing more is to come."""
        if not error.retry:
            self.lost(error)
        elif isinstance(self.state, Talking | Open):
            (logs.info if isinstance(error, SessionLetGo) else logs.error)(str(error))
            began_ns = self.state.began_ns if isinstance(self.state, Open) else None
            until_ns = time.monotonic_ns() + int(ENDING_S * 1e9)
            self.state = Ending(self.state.session, error, began_ns, until_ns)

    def _send(self, opcode: int, payload: bytes) -> None:
        if isinstance(self.state, Talking | Open):
            self._pace.sent(time.monotonic_ns())
            try:
                self.state.session.send(opcode, payload)
            except SessionLost as error:
                self._end(error)

    def _flush(self, session: Session) -> None:
        try:
            session.flush()
        except SessionLost as error:
            self._end(error)

    def _quiet_s(self, now_ns: int) -> float:
        counters = self._pump.counters()
        return 0.0 if counters.stopped else (now_ns - counters.last_input_ns) / 1e9

    def _check_progress(self, until_ns: int, now_ns: int) -> None:
        if now_ns >= until_ns:
            self.lost(FeedSilent(f"no session within {ATTEMPT_TIMEOUT_S:g} s"))
        elif now_ns >= self._health_due_ns:
            left_s = limits.STEP_TIMEOUT_S - self._quiet_s(now_ns)
            if left_s <= 0:
                self.lost(FeedSilent(f"no answer within {limits.STEP_TIMEOUT_S:g} s"))
            self._health_due_ns = now_ns + int(left_s * 1e9)

    def _check_health(self, session: Session, now_ns: int) -> None:
        if now_ns < self._health_due_ns or not isinstance(self.state, Open):
            return
        health = self._venue.health
        quiet_s = self._quiet_s(now_ns)
        if quiet_s >= health.lost_after_s:
            self.lost(FeedSilent(f"no byte from the feed for {quiet_s:.1f} s"))
            return
        is_answered = self._pinged_ns < self._pump.counters().last_input_ns
        if quiet_s >= health.ping_after_s and is_answered:
            is_answered = False
            self._pinged_ns = now_ns
            self._send(*((frames.PING, b"") if health.ping is None else (frames.TEXT, health.ping)))
        limit_s = health.ping_after_s if is_answered else health.lost_after_s
        self._health_due_ns = now_ns + int((limit_s - quiet_s) * 1e9)

    def _check_records(self, now_ns: int) -> None:
        if not isinstance(self.state, Open) or now_ns < self._quiet.due_ns:
            return
        self._check_topics()
        counters = self._pump.counters()
        quiet_s = self._quiet.look(counters.market_total, now_ns, time.time(), is_ours=bool(counters.stopped))
        if quiet_s is not None:
            logs.error("no record from a session that lives", for_s=quiet_s)
            if self._config.on_quiet is OnQuiet.RECONNECT:
                self.lost(FeedSilent(f"no record for {quiet_s:.1f} s"))

    def _check_topics(self) -> None:
        arrivals = self._pump.arrivals(self._arrival)
        self._arrival = arrivals[-1].number + 1 if arrivals else self._arrival
        for topic, for_s in self._mute.look(arrivals, time.time()):
            logs.error("a topic has gone mute: others bring records", topic=topic, for_s=for_s)

    def _look_for_gap_end(self, now_ns: int) -> None:
        self._gap_due_ns = _NEVER_NS
        if (number := self.gaps.first_number) is None:
            return
        if arrivals := self._pump.arrivals(number):
            logs.warning("gap between sessions", **self.gaps.end(arrivals[0], time.time_ns() - time.monotonic_ns()))
        else:
            self._gap_due_ns = now_ns + int(GAP_LOOK_S * 1e9)

    def _check_wishes(self, now_ns: int) -> None:
        if now_ns >= self.wishes.deadline_ns:
            self.wishes.tend(now_ns)
            self.retune()

    def _check_acknowledgements(self, now_ns: int) -> None:
        if isinstance(self.state, Open) and now_ns >= self._acknowledge_due_ns:
            self._acknowledge_due_ns = _NEVER_NS
            if missing := self.subscriptions.unacknowledged:
                logs.error(
                    "topics that the feed has not acknowledged",
                    topics=missing[:20], more=max(len(missing) - 20, 0), after_s=ACKNOWLEDGE_S,
                    feed_says=self.subscriptions.rejected,
                )  # fmt: skip
