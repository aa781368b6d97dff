"""The parent process: one loop around the pump.

Law: this file alone knows all the others. Each turn: let the pump run, hand its event to whom it concerns, do what is
due.
"""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack

from lb import config as configuration
from lb import logs
from lb.config import Config
from lb.errors import LbError, SessionError
from lb.feed import session
from lb.feed.keeper import Feed
from lb.metrics import Snapshot
from lb.pump import ControlFrame, Event, Layout, Malformed, Notice, Pump, Route, TlsRecord, Wake
from lb.signals import WakeUps
from lb.slots.allowance import Allowance
from lb.slots.pipes import Pipes
from lb.slots.supervisor import Supervisor

WAITING_BYTES = 32 << 20
"""Bound of what waits for full pipes, all outboxes together (but see LEAST_WAITING_BYTES). Past it the feed is not
read."""
LEAST_WAITING_BYTES = 64 << 10
"""Of one outbox, however many there are: less would mean more system calls per record."""
STALL_NS = 1_000_000_000
MALFORMED_LOG_INTERVAL_NS = 1_000_000_000

_ROUTES = {configuration.Route.ROUND_ROBIN: Route.ROUND_ROBIN, configuration.Route.SYMBOL: Route.SYMBOL}


class Balancer:
    """Runs one `lb`. run() may be called once."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._exit_code = 0
        self._stop_ns: int | None = None
        self._signalled_stops = 0
        self._next_statistics_ns = 1 << 62
        self._last_malformed_ns = 0
        self._unlogged_malformed = 0
        self._logged_layouts = 0

    def run(self) -> int:
        """Run until a signal or a refusal ends it; return the exit code. Raises LbError where it can't even begin."""
        config = self._config
        session.set_dumpable(config.dumpable)
        tls = session.choose(config)
        with ExitStack() as stack:
            self._wake_ups = stack.enter_context(WakeUps())
            allowance = Allowance()
            self._pipes = pipes = Pipes(config.pipes, config.pipe_size_bytes, allowance)
            stack.callback(pipes.close)
            self._pump = pump = Pump(
                pipe_fds=pipes.write_fds,
                route=_ROUTES[config.route],
                layout=Layout.POLYGON,
                max_frame_bytes=config.max_frame_bytes,
                high_water_bytes=max(WAITING_BYTES // config.pipes, LEAST_WAITING_BYTES),
                wake_fd=self._wake_ups.fileno(),
                stall_ns=STALL_NS,
            )
            self._supervisor = supervisor = Supervisor(
                config, pipes, self._wake_ups, allowance,
                realign=lambda pipe: pump.realign(pipe, pipes.read_fds[pipe]),
                taken_bytes=lambda pipe: pump.pipe_counters(pipe).written_bytes_total - pipes.unread_bytes(pipe),
            )  # fmt: skip
            stack.callback(supervisor.leave, "lb can't go on")
            if config.cpu is not None:
                allowance.keep_to_cpu(config.cpu)
            self._feed = Feed(config, tls, pump, self._wake_ups.wake)
            self._start_workers()
            self._loop()
            self._end_workers()
            self._log_end()
        return self._exit_code

    def _start_workers(self) -> None:
        """No session before every worker runs: where one can't be started, no other client of the key is evicted."""
        self._supervisor.start()
        while not self._supervisor.is_started and self._stop_ns is None:
            self._wake_ups.wait(self._supervisor.deadline_ns)
            self._obey_signals()
            self._supervisor.tend(time.monotonic_ns())

    def _loop(self) -> None:
        """Until a stop has drained the pump, or its grace has passed."""
        self._first = self._before = self._snapshot()
        if self._config.stats_interval_s:
            self._next_statistics_ns = self._first.taken_ns + int(self._config.stats_interval_s * 1e9)
        while True:
            now_ns = time.monotonic_ns()
            if self._signalled_stops > 1 or (self._stop_ns is not None and now_ns >= self._stop_ns):
                return
            try:
                self._tend(now_ns)
                event = self._pump.run(self._deadline_ns())
                if event is Wake.DRAINED:
                    return
                self._handle(event)
                self._obey_signals()  # whatever the event: a pump that never waits does not look at the wake-up socket
            except SessionError as error:
                self._session_failed(error)
            except LbError as error:
                self._stop(error)

    def _tend(self, now_ns: int) -> None:
        self._feed.tend(now_ns)
        if now_ns >= self._supervisor.deadline_ns:
            self._supervisor.tend(now_ns)
        if now_ns >= self._next_statistics_ns:
            self._log_statistics(now_ns)

    def _deadline_ns(self) -> int:
        deadlines = [self._feed.deadline_ns, self._supervisor.deadline_ns, self._next_statistics_ns]
        return min(deadlines if self._stop_ns is None else [*deadlines, self._stop_ns])

    def _handle(self, event: Event) -> None:
        match event:
            case Wake.READABLE:
                self._feed.readable()
            case Wake.EOF:
                self._feed.ended()
            case Notice():
                self._feed.status(event)
            case TlsRecord():
                self._feed.tls_record(event)
            case ControlFrame():
                self._feed.control(event)
            case Malformed():
                self._log_malformed(event)

    def _session_failed(self, error: SessionError) -> None:
        """From the pump: the session is lost. From the feed: it has given up."""
        if error.retry:
            try:
                self._feed.lost(error)
            except LbError as refusal:
                self._stop(refusal)
        else:
            self._stop(error)

    def _obey_signals(self) -> None:
        numbers = self._wake_ups.take()
        for number in numbers:
            self._signalled(number)
        if numbers:
            self._supervisor.reap()  # a SIGCHLD that found the socket full is in none of them

    def _signalled(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._signalled_stops += 1
            if self._signalled_stops > 1:
                logs.error("stopped a second time: leaving at once")
                self._exit_code = 1
            elif self._stop_ns is None:
                logs.info("stopping", signal=signal.Signals(number).name, grace_s=self._config.grace_s)
                self._stop(None)
        elif number == signal.SIGUSR1:
            logs.info("balance", **self._snapshot().balance())

    def _stop(self, error: LbError | None) -> None:
        """Read no more, deliver what was received. `error` is why, and decides the exit code."""
        if error is not None:
            logs.error(str(error))
            self._exit_code = error.exit_code
        self._feed.stop()
        self._pump.drain()
        if self._stop_ns is None:
            self._stop_ns = time.monotonic_ns() + int(self._config.grace_s * 1e9)

    def _end_workers(self) -> None:
        """Close the pipes, and wait for the workers as long as the grace lasts."""
        self._supervisor.stop()
        self._final = self._snapshot()
        self._pipes.close_write_ends()
        self._supervisor.reap()
        while self._supervisor.running and self._signalled_stops < 2 and time.monotonic_ns() < (self._stop_ns or 0):
            self._wake_ups.wait(self._stop_ns or 0)
            self._obey_signals()
        self._supervisor.leave(
            "lb was stopped a second time" if self._signalled_stops > 1 else "it did not end in time"
        )

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            taken_ns=time.monotonic_ns(),
            counters=self._pump.counters(),
            pipes=[self._pump.pipe_counters(number) for number in range(self._config.pipes)],
            backlog_bytes=self._pipes.backlog_bytes(),
            sessions_total=self._feed.sessions_total,
            restarts_total=self._supervisor.restarts_total,
            tls=self._feed.tls,
        )

    def _log_statistics(self, now_ns: int) -> None:
        snapshot = self._snapshot()
        logs.info("statistics", **snapshot.statistics(self._before))
        self._log_layouts()
        self._before = snapshot
        self._next_statistics_ns = now_ns + int(self._config.stats_interval_s * 1e9)

    def _log_end(self) -> None:
        logs.info("statistics", **self._final.statistics(self._first))
        self._log_layouts()
        logs.info("balance", **self._final.balance())
        if self._unlogged_malformed:
            logs.error("malformed messages not logged singly", messages=self._unlogged_malformed)

    def _log_layouts(self) -> None:
        samples = self._pump.layouts()
        for sample in samples[self._logged_layouts :]:
            logs.info("records of this layout miss the fast path", sample=repr(sample))
        self._logged_layouts = len(samples)

    def _log_malformed(self, event: Malformed) -> None:
        now_ns = time.monotonic_ns()
        if now_ns - self._last_malformed_ns < MALFORMED_LOG_INTERVAL_NS:
            self._unlogged_malformed += 1
            return
        logs.error(
            "malformed message",
            fault=event.fault,
            offset_bytes=event.offset_bytes,
            sample=repr(event.sample),
            unlogged=self._unlogged_malformed,
        )
        self._last_malformed_ns = now_ns
        self._unlogged_malformed = 0
