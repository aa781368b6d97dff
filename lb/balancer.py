"""The parent process: one loop around the pump.

Law: this file alone knows all the others. Each turn: do what is due, let the pump run, hand its event to whom it
concerns, obey the signals. How it ends is a table (lifecycle.py); here its actions are carried out.
"""

from __future__ import annotations

import os
import platform
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

from lb import config as configuration
from lb import estate, handing_over, handover, logs, stand_in
from lb.config import Config
from lb.control import Later, Refusal
from lb.desk import Desk, listen
from lb.errors import EX_IOERR, InternalError, LbError, SessionError
from lb.estate import Estate
from lb.feed import session, succession, venues
from lb.feed.keeper import Keeper
from lb.handing_over import Parts
from lb.handover import Upgrade, Way
from lb.lag import Lag
from lb.lifecycle import Action, State, next_step
from lb.lifecycle import Event as Happening
from lb.metrics import Snapshot
from lb.page import Page
from lb.pump import (
    ControlFrame,
    Event,
    Malformed,
    Notice,
    PipeDrained,
    Policy,
    Pump,
    ReaderGone,
    Resumed,
    Spill,
    Stalled,
    TlsRecord,
    Unread,
    Wake,
)
from lb.reporter import Reporter
from lb.service import Condition, Manager, Service, capability
from lb.signals import WakeUps
from lb.slots.allowance import Allowance
from lb.slots.pipes import Pipes
from lb.slots.proc import has_terminal
from lb.slots.redelivery import Redelivery, retain_bytes
from lb.slots.spill import SpillFolder, segment_bytes
from lb.slots.supervisor import Supervisor
from lb.version import VERSION

WAITING_BYTES = 32 << 20
"""Bound of what waits for full pipes, all outboxes together (but see LEAST_WAITING_BYTES). Past it the feed is not
read."""
LEAST_WAITING_BYTES = 64 << 10
"""Of one outbox, however many there are: less would mean more system calls per record."""
STALLED_AFTER_S = 1.0
"""A full pipe that has stopped the reading for so long is told."""
SECOND_STOP_AFTER_S = 1.0
"""Signals that come sooner after the first are the same wish: `timeout` and service managers send several."""
KILL_AFTER_S = 1.0
"""Between SIGTERM and SIGKILL for a worker that did not end with its pipes."""

_NEVER_NS = 1 << 62
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_POLICIES = {
    configuration.OnFull.BLOCK: Policy.BLOCK,
    configuration.OnFull.DROP_NEWEST: Policy.DROP_NEWEST,
    configuration.OnFull.DROP_OLDEST: Policy.DROP_OLDEST,
    configuration.OnFull.SPILL: Policy.SPILL,
}


class Balancer:
    """Runs one `lb`, and tells `manager` of it. run() may be called once.

    `words`: the command line, for the program that may take this process over. `adopted`: the document of the one that
    had it before (lb/handing_over.py).
    """

    def __init__(
        self, config: Config, manager: Manager, words: Sequence[str], adopted: Mapping[str, Any] | None = None
    ) -> None:
        self._config = config
        self._manager = manager
        self._words = words
        self._adopted: Mapping[str, Any] = adopted or {}
        self._has_terminal = has_terminal()
        self._state = State.RUNNING
        self._until_ns = _NEVER_NS
        self._first_stop_ns: int | None = None
        self._exit_code = 0
        self._folder: SpillFolder | None = None
        self._open_pipes = [True] * config.pipes
        self._began_ns = self._adopted.get("began_ns", time.monotonic_ns())

    def run(self) -> int:
        """Run until a signal or a refusal ends it; return the exit code. Raises LbError where it can't even begin."""
        config = self._config
        session.set_dumpable(config.dumpable)
        security = session.Security(config)
        venue = venues.named(config.feed)
        with ExitStack() as stack:
            self._wake_ups = stack.enter_context(WakeUps())
            spill = self._spill(stack) if config.on_full is configuration.OnFull.SPILL else None
            adopted = self._adopted
            allowance = Allowance(adopted.get("allowance"))
            listener = listen(config, allowance, adopted.get("listener"))
            if listener is not None:
                stack.callback(listener.close)
            page = None if config.metrics is None else Page(config.metrics, allowance, adopted.get("page_fd"))
            if page is not None:
                stack.callback(page.close)
            self._pipes = pipes = Pipes(config.pipes, config.pipe_size_bytes, allowance, adopted.get("pipes"))
            stack.callback(pipes.close)
            capability.give_up()
            high_water_bytes = self._high_water_bytes()
            stand_in.stop(adopted.get("stand_in"))
            stopped_ns = time.monotonic_ns()
            self._pump = pump = Pump(
                pipe_fds=pipes.write_fds,
                route=config.route,
                key_member=config.key_member,
                layout=venue.layout,
                max_frame_bytes=config.max_frame_bytes,
                high_water_bytes=high_water_bytes,
                wake_fd=self._wake_ups.fileno(),
                stall_ns=int(STALLED_AFTER_S * 1e9),
                retains=config.redeliver,
                spill=spill,
                memory_fd=adopted.get("pump_fd"),
            )
            for pipe in range(config.pipes):
                pump.set_policy(pipe, _POLICIES[config.on_full])
            handing_over.take_account(pump, adopted)
            if self._folder is not None and not adopted:
                self._folder.take_over(config.pipes, pump.recover)
            self._redelivery = redelivery = self._new_redelivery()
            self._supervisor = supervisor = Supervisor(
                config, pipes, self._wake_ups, allowance,
                realign=redelivery.redeliver if redelivery else lambda pipe: pump.realign(pipe, pipes.read_fds[pipe]),
                taken_bytes=lambda pipe: pump.pipe_counters(pipe).written_bytes_total - pipes.unread_bytes(pipe),
                redelivery=redelivery,
            )  # fmt: skip
            if config.cpu is not None:
                allowance.keep_to_cpu(config.cpu)
            self._keeper = Keeper(config, venue, security, pump, self._wake_ups)
            capacity_bytes = [size_bytes * (not config.redeliver) + high_water_bytes for size_bytes in pipes.size_bytes]
            self._desk = Desk(
                config, listener, page, self._wake_ups, pump, self._keeper, venue, supervisor,
                status=lambda: self._status(self._proven()),
                pushed=lambda: self._status(self._snapshot()),
                stop=lambda: self._stop_asked("lbctl"),
                upgrade=self._upgrade_asked,
                is_running=lambda: self._state is State.RUNNING,
            )  # fmt: skip
            stack.callback(self._desk.close)
            stack.callback(supervisor.leave, "lb can't go on")
            self._lag = Lag(venue.sent_ns)
            self._reporter = Reporter(
                self._snapshot, pump, self._lag, config.stats_interval_s, capacity_bytes, self._reader_of
            )
            self._service = Service(self._manager, self._condition)
            parts = Parts(
                config, self._words, self._manager, allowance, listener, page, pipes, pump, self._folder, redelivery,
                supervisor, self._keeper, self._desk, self._reporter, self._service, high_water_bytes, self._began_ns,
            )  # fmt: skip
            self._estate = Estate(parts, adopted if adopted.get("is_killed") else adopted.get("estate"))
            stack.callback(self._estate.abandon)
            self._upgrade = self._new_upgrade(parts)
            stack.callback(self._upgrade.close)
            if adopted.get("is_killed"):
                estate.adopt(parts, adopted)
            elif adopted:
                handing_over.adopt(parts, adopted, stopped_ns)
                supervisor.reap()
            else:
                self._start_workers()
            while self._state is not State.ENDED:
                self._turn()
            self._settle()
        return self._exit_code

    def _new_upgrade(self, parts: Parts) -> Upgrade:
        watch, unwatch = self._wake_ups.watch, self._wake_ups.unwatch
        words = ["none" if self._config.key.is_in(word) else word for word in self._words]  # it gets no key
        return Upgrade(
            handover.Ports(
                ask=lambda told: handover.Question(words, parts.allowance, watch, unwatch, told),
                settle=self._settle_session,
                release=self._release_session,
                unsettled=partial(handing_over.unsettled, parts),
                jump=partial(handing_over.jump, parts, self._obey, self._estate.hand_over),
                leave=partial(self._estate.leave, self._wake_ups),
                stop=partial(self._stop_asked, "SIGUSR2"),
            )
        )

    def _settle_session(self, way: Way) -> None:
        """No session is opened from now on, and one that another program can't go on with is closed, as soon as that
        can be read to its end."""
        keeper, keeps = self._keeper, way is Way.MAPPING
        if self._config.once and not (keeps and succession.settled_session(keeper)):
            self._upgrade.refuse("--once, and its session can't be kept: see docs/upgrade.md")
            return
        keeper.is_held = True
        succession.let_go(keeper, keeps=keeps)

    def _release_session(self) -> None:
        self._keeper.is_held = False

    def _high_water_bytes(self) -> int:
        """Of an outbox."""
        config = self._config
        if self._adopted:
            return int(self._adopted["high_water_bytes"])
        if config.redeliver:
            return config.retain_bytes or retain_bytes(config.pipes)
        return config.backlog_bytes or max(WAITING_BYTES // max(config.pipes, 1), LEAST_WAITING_BYTES)

    def _new_redelivery(self) -> Redelivery | None:
        pump = self._pump
        if not self._config.redeliver:
            return None
        return Redelivery(
            pump,
            lambda pipe: pump.pipe_counters(pipe).acknowledged_total,
            self._pipes.read_fds,
            self._high_water_bytes(),
            self._adopted.get("redelivery"),
        )

    def _spill(self, stack: ExitStack) -> Spill:
        config = self._config
        self._folder = folder = SpillFolder(config.spill_folder, self._adopted.get("spill_fd"))
        stack.callback(folder.close)
        return Spill(folder.fileno(), config.spill_max_bytes, segment_bytes(config.spill_max_bytes, config.pipes))

    def _start_workers(self) -> None:
        """No session before a worker runs, if any is to: where the program can't be, no other client of the key is
        evicted."""
        self._supervisor.start()
        while self._supervisor.slots and not self._supervisor.has_run and self._state is State.RUNNING:
            self._wake_ups.wait(min(self._supervisor.deadline_ns, self._desk.deadline_ns))
            self._obey()
            now_ns = time.monotonic_ns()
            self._supervisor.tend(now_ns)
            self._desk.tend(now_ns)

    def _turn(self) -> None:
        self._guarded(self._tend)
        self._guarded(self._work)
        self._guarded(self._obey)  # in every turn: a pump that never waits, or always fails, does not look for signals

    def _guarded(self, part: Callable[[], None]) -> None:
        """What goes wrong in a part of a turn is an event of the table, and keeps no other part from its turn."""
        try:
            part()
        except SessionError as error:
            self._session_failed(error)
        except LbError as error:
            self._failed(error)

    def _tend(self) -> None:
        now_ns = time.monotonic_ns()
        if now_ns >= self._until_ns:
            self._happened(Happening.OVERDUE)
        self._keeper.tend(now_ns)
        self._supervisor.tend(now_ns)
        self._reporter.tend(now_ns)
        self._desk.tend(now_ns)
        self._service.tend(now_ns)
        self._upgrade.tend(now_ns)
        self._estate.tend(now_ns)

    def _work(self) -> None:
        """Let the pump run, or wait for the workers' end, until something happens."""
        deadline_ns = min(
            self._keeper.deadline_ns, self._supervisor.deadline_ns, self._reporter.deadline_ns,
            self._desk.deadline_ns, self._service.deadline_ns, self._upgrade.deadline_ns, self._estate.deadline_ns,
            self._until_ns,
        )  # fmt: skip
        match self._state:
            case State.RUNNING | State.DRAINING:
                self._handle(self._pump.run(deadline_ns))
            case State.FINISHING | State.KILLING if self._supervisor.running:
                self._wake_ups.wait(deadline_ns)
            case State.FINISHING | State.KILLING:
                self._happened(Happening.GONE)

    def _status(self, snapshot: Snapshot) -> dict[str, object]:
        """Everything there is to tell."""
        return {
            "lb": {
                "version": VERSION,
                "python": platform.python_version(),
                "on_full": self._config.on_full.value,
                "pid": os.getpid(),
                "state": self._state.name.lower(),
                "uptime_s": round((snapshot.taken_ns - self._began_ns) / 1e9, 3),
            },
            "session": self._keeper.status(),
            "slots": [slot.summary() for slot in self._supervisor.slots],
            "readers": self._desk.readers(),
            **self._reporter.status(snapshot),
        }

    def _handle(self, event: Event) -> None:
        match event:
            case Wake.READABLE:
                self._keeper.readable()
            case Wake.EOF:
                self._keeper.ended()
            case Wake.DRAINED:
                self._happened(Happening.DRAINED)
            case ReaderGone(number):
                self._desk.reader_gone(number)
            case PipeDrained(pipe):
                self._close_pipe(pipe)
            case Notice():
                self._keeper.notice(event)
            case TlsRecord():
                self._keeper.tls_record(event)
                self._estate.touch()  # it may have changed the session's secrets
            case ControlFrame():
                self._keeper.control(event)
            case Malformed():
                self._reporter.malformed(event)
            case Stalled(pipe):
                self._reporter.stalled(pipe)
                if self._redelivery is not None and not self._pipes.unread_bytes(pipe):
                    self._redelivery.stalled(self._supervisor.slot_of(pipe), pipe)
            case Resumed():
                self._reporter.resumed(event)

    def _session_failed(self, error: SessionError) -> None:
        """From the pump: the session is lost. From the keeper: it has given up."""
        if not error.retry:
            self._failed(error)
            return
        try:
            self._keeper.lost(error)
        except LbError as refusal:
            self._failed(refusal)

    def _failed(self, error: LbError) -> None:
        (logs.error if error.exit_code else logs.info)(str(error))
        self._manager.tell(STATUS=str(error))
        self._exit_code = self._exit_code or error.exit_code
        self._happened(Happening.FAILED if isinstance(error, InternalError) else Happening.STOP)

    def _obey(self) -> None:
        """Signals, and whatever else has woken us."""
        numbers = self._wake_ups.take()
        for number in numbers:
            self._signalled(number)
        if numbers:
            self._supervisor.reap()  # a SIGCHLD that found the socket full is in none of them

    def _signalled(self, number: int) -> None:
        if number == signal.SIGUSR1:
            self._reporter.balance(self._proven())
        elif number == signal.SIGHUP and not self._has_terminal:
            self._upgrade_asked_by_signal()
        elif number == signal.SIGUSR2:
            self._upgrade_asked_by_signal(is_restart=True)
        elif number in _STOP_SIGNALS:
            self._stop_asked(signal.Signals(number).name)

    def _upgrade_asked(self) -> Later:
        if self._state is not State.RUNNING:
            raise Refusal("not-possible", "no upgrade: lb stops")
        return self._upgrade.asked()

    def _upgrade_asked_by_signal(self, *, is_restart: bool = False) -> None:
        if is_restart and not self._estate.keeps_session:
            self._stop_asked("SIGUSR2")
        elif self._state is State.RUNNING:
            self._upgrade.begin("SIGUSR2" if is_restart else "SIGHUP", is_restart=is_restart)
        else:
            logs.warning("no upgrade: lb stops")

    def _stop_asked(self, by: str) -> None:
        now_ns = time.monotonic_ns()
        if self._first_stop_ns is None:
            self._first_stop_ns = now_ns
            logs.info("stopping", signal=by, grace_s=self._config.grace_s)
            self._happened(Happening.STOP)
        elif now_ns >= self._first_stop_ns + int(SECOND_STOP_AFTER_S * 1e9):
            logs.error("stopped a second time: leaving at once")
            self._exit_code = 1
            self._happened(Happening.STOP_AGAIN)

    def _happened(self, event: Happening) -> None:
        action, state = next_step(self._state, event)
        if self._state is State.RUNNING and state is not State.RUNNING and self._upgrade.is_begun:
            self._upgrade.refuse("lb stops")
        if state is not State.RUNNING:
            self._estate.abandon()
        if state is not self._state:
            self._state = state
            time_s = {State.KILLING: KILL_AFTER_S}.get(state, self._config.grace_s)
            self._until_ns = time.monotonic_ns() + int(time_s * 1e9)
            self._service.stopping(self._until_ns)
        match action:
            case Action.DRAIN:
                self._keeper.stop()
                self._pump.drain()
            case Action.CLOSE_PIPES:
                self._supervisor.stop()
                self._desk.end_readers()
                for pipe in range(self._config.pipes):
                    self._close_pipe(pipe)
            case Action.TERMINATE:
                self._supervisor.terminate()
            case Action.KILL:
                is_late = event is Happening.OVERDUE
                self._supervisor.leave("it did not end in time" if is_late else "lb was stopped a second time")

    def _close_pipe(self, pipe: int) -> None:
        """Its workers see its end once they have read what is in it."""
        if self._open_pipes[pipe]:
            self._open_pipes[pipe] = False
            self._pump.close_pipe(pipe)
            self._pipes.close_write_end(pipe)
            self._supervisor.retire(pipe)

    def _reader_of(self, pipe: int) -> dict[str, int | None]:
        """Who should be reading it, as the values of a log line."""
        slot = self._supervisor.slot_of(pipe)
        return {"slot": slot.number, "pid": slot.pid}

    def _settle(self) -> None:
        """Tell what became of every record. What nobody got is an error."""
        for pipe in range(self._config.pipes):
            self._pump.close_pipe(pipe)  # at a second stop they are still open
        unread = [self._unread(pipe) for pipe in range(self._config.pipes)]
        final = replace(self._proven(), unread=unread)
        if self._reporter.end(final) or self._supervisor.failures_total:
            self._exit_code = self._exit_code or EX_IOERR
        if self._exit_code in (0, EX_IOERR):  # otherwise the reason is told already
            word = "not all of them delivered" if self._exit_code else "all delivered"
            self._manager.tell(STATUS=f"stopped: {final.counters.records_total:,} records received, {word}")

    def _unread(self, pipe: int) -> Unread:
        try:
            return self._pump.unread(pipe, self._pipes.read_fds[pipe])
        except OSError as error:
            logs.error("records left in a pipe can't be counted", pipe=pipe, error=error.strerror)
            return Unread(records=0, bytes=self._pipes.backlog_bytes()[pipe])

    def _condition(self) -> Condition:
        """For the service manager."""
        snapshot, slots, state = self._snapshot(), self._supervisor.slots, self._keeper.state.name
        running = sum(slot.runs for slot in slots)
        return Condition(
            is_ready=state == "open" and self._keeper.topics.is_served and running == len(slots),
            session=state,
            tls=snapshot.tls,
            received_bytes=snapshot.counters.received_bytes_total,
            records=snapshot.counters.records_total,
            socket_bytes=snapshot.socket_bytes,
            held_bytes=sum(snapshot.held_bytes()),
            is_held_up=bool(snapshot.counters.stopped),
            lag_ms=self._lag.newest_ms,
            running=running,
            slots=len(slots),
        )

    def _proven(self) -> Snapshot:
        """With what proves the balance, and takes time: on demand, and at the end."""
        return replace(self._snapshot(), counted=list(map(self._pump.count_waiting, range(self._config.pipes))))

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            taken_ns=time.monotonic_ns(),
            counters=self._pump.counters(),
            pipes=[self._pump.pipe_counters(number) for number in range(self._config.pipes)],
            backlog_bytes=self._pipes.backlog_bytes(),
            sessions_total=self._keeper.history.sessions_total,
            takeovers_total=self._keeper.history.takeovers_total,
            restarts_total=self._supervisor.restarts_total,
            stuck=self._supervisor.stuck,
            stuck_total=self._supervisor.stuck_total,
            retains=self._config.redeliver,
            tls=self._keeper.tls,
            gaps_total=self._keeper.gaps.gaps_total,
            gap_s=self._keeper.gaps.gap_s,
            socket_bytes=self._keeper.socket_bytes,
        )
