"""Keeps a worker in every slot: start, notice the end, start again.

    state      event     action                                  next state
    EMPTY      DUE       realign the pipes, fork                 STARTING
    STARTING   REFUSED   tell, back off                          EMPTY
    STARTING   RUNS      tell                                    RUNNING
    STARTING   FAILS     tell                                    LEAVING
    STARTING   ENDS      kill its group, reap it, tell           LEAVING
    RUNNING    STICKS    tell, kill its group where asked to     STUCK
    RUNNING    ENDS      kill its group, reap it, tell           LEAVING
    STUCK      READS     tell                                    RUNNING
    STUCK      ENDS      kill its group, reap it, tell           LEAVING
    LEAVING    ENDS      reap it                                 LEAVING
    LEAVING    GONE      realign the pipes, restart or back off  EMPTY

After stop() nothing becomes DUE again; a worker that ends after its pipes were all retired has no successor.

Law: a worker is its slot's process group; when it ends nothing of it may go on reading the slot's pipes. Only this
file spawns, and nothing in it waits for a process, but leave() for a moment.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping

from lb import logs
from lb.config import Config, OnCrashes, OnStuck, Spawn
from lb.errors import Unavailable
from lb.signals import WakeUps
from lb.slots import channel, crashes, group
from lb.slots.allowance import Allowance
from lb.slots.channel import Acknowledged, Channel, Ready, Status, Unknown
from lb.slots.condition import condition
from lb.slots.crashes import Crashes
from lb.slots.due import Due
from lb.slots.ending import cause, explain
from lb.slots.launch import order_of
from lb.slots.oom import OomKills
from lb.slots.orders import Orders
from lb.slots.pipes import Pipes
from lb.slots.redelivery import Redelivery
from lb.slots.slot import NEVER_NS, Event, Slot, State
from lb.slots.spawn import has_run_program, report, spawn
from lb.slots.watch import Watch

STABLE_S = 10.0
"""A worker that ran this long is healthy: its end is no part of a crash loop."""
BRIEF_S = 1.0
"""One that ran this long and has read something is, too."""

MOST_FORKS = 4
"""In one turn of the balancer; each takes a millisecond or so."""
MOST_STARTING = 32
"""Workers that are being started at a time: a report takes a descriptor each."""
LEAVE_S = 1.0
"""How long the end of killed processes is waited for at the end of lb."""
_LAST_MESSAGES = 4096


class Supervisor:
    """Keeps a worker in every slot.

    `realign` makes a pipe begin with a whole frame again after its reader died, and returns how many bytes it had to
    drop; `taken_bytes` says how much has been read from a pipe, all readers together. `redelivery`: who is to know what
    workers have finished.
    """

    def __init__(
        self,
        config: Config,
        pipes: Pipes,
        wake_ups: WakeUps,
        allowance: Allowance,
        *,
        realign: Callable[[int], int],
        taken_bytes: Callable[[int], int],
        redelivery: Redelivery | None = None,
    ) -> None:
        """Raises Unavailable when the system has not enough descriptors."""
        self._config = config
        self._pipes = pipes
        self._wake_ups = wake_ups
        self._allowance = allowance
        self._realign = realign
        self._taken_bytes = taken_bytes
        self._oom_kills = OomKills()
        self._redelivery = redelivery
        self._is_stopping = False
        self._has_left = False
        numbers = range(len(pipes.read_fds))
        is_shared = config.spawn is Spawn.SHARED and len(numbers) > 0
        shares = [numbers] if is_shared else [[number] for number in numbers]
        self.slots = [
            Slot(n, {pipes.read_fds[k]: k for k in share}, Crashes(config.max_crashes))
            for n, share in enumerate(shares)
        ]
        self._slot_of_pipe = {pipe: slot for slot in self.slots for pipe in slot.pipes}
        allowance.add_descriptors(len(self.slots))
        self._watch = Watch(self.slots, pipes, taken_bytes, config.stuck_after_s)
        self.stuck_total = 0
        """Workers that did not read for too long."""
        self._due = Due(self.slots)
        self._by_pid: dict[int, Slot] = {}
        """Whose process was not reaped yet."""
        self._starting = 0
        self._leaving: dict[int, Slot] = {}
        self._has_run = False
        self._crash_loop: Unavailable | None = None
        """Why lb is to end, until tend() has said so."""
        self.orders = Orders(self.slots, self._start_now)
        self.failures_total = 0
        """Workers that were to end by themselves, and did so by a signal or with another exit code than 0."""

    def start(self) -> None:
        """Begin to start every worker; tend() goes on with it.

        That one can't be started the first time comes as Unavailable: from here, from tend(), from reap(), or out of
        the wake-ups' take().
        """
        now_ns = time.monotonic_ns()
        for slot in self.slots:
            self._due.add(slot, now_ns)
        self.tend(now_ns)

    @property
    def has_run(self) -> bool:
        """Whether a worker has run its program, which is that of all."""
        return self._has_run

    def tend(self, now_ns: int) -> None:
        """Look whether the workers read; start those whose time has come, a few at a time: the feed is not read
        meanwhile.

        Raises Unavailable where workers end too often and lb is to end with it; the next time, it goes on.
        """
        if (crash_loop := self._crash_loop) is not None:
            self._crash_loop = None
            raise crash_loop
        self.orders.tend(now_ns)
        for slot, event in self._watch.look(now_ns):
            self._happens(slot, event)
        for _ in range(MOST_FORKS):
            if self._restart_ns > now_ns:
                return
            self._happens(self._due.take(), Event.DUE)

    @property
    def deadline_ns(self) -> int:
        """When tend() has something to do next (CLOCK_MONOTONIC)."""
        return min(self._watch.deadline_ns, self._restart_ns, self.orders.deadline_ns)

    @property
    def _restart_ns(self) -> int:
        """When the next worker is to be started."""
        return self._due.next_ns if self._starting < MOST_STARTING else NEVER_NS

    def reap(self) -> None:
        """Take the exit of every process that has ended: workers, and what they had started and left to us."""
        while (pid := group.ended_child()) is not None:
            slot = self._by_pid.get(pid)
            if slot is None:
                os.waitpid(pid, 0)
                continue
            if slot.report_fd is not None:
                self._read_report(slot)  # it is complete
            self._happens(slot, Event.ENDS)
        for slot in list(self._leaving.values()):
            if group.is_gone(slot.pid):
                self._happens(slot, Event.GONE)
            elif not group.send(slot.pid, signal.SIGKILL) and not slot.is_held:
                slot.is_held = True
                logs.warning("what the worker has left running can't be killed: it is waited for", slot=slot.number)

    def slot_of(self, pipe: int) -> Slot:
        """Where the pipe is read."""
        return self._slot_of_pipe[pipe]

    def retire(self, pipe: int) -> None:
        """Nothing will be written to this pipe any more. To be called once for each."""
        self._slot_of_pipe[pipe].retired_pipes += 1

    def stop(self) -> None:
        """From now on nothing is restarted. A worker that has yet to be started the first time is, if something waits
        for it, and with redelivery any that was about to be; one that is paused is to finish, too."""
        self._is_stopping = True
        self.orders.stop()
        for slot in self.slots:
            is_wanted = slot.starts_total == 0 or self._redelivery is not None
            if not is_wanted or not any(map(self._pipes.unread_bytes, slot.pipes)):
                slot.restart_ns = NEVER_NS

    def terminate(self) -> None:
        """SIGTERM for every worker and what it started, also for those that are stopped."""
        for slot in self._alive():
            if group.send(slot.pid, signal.SIGTERM) and group.send(slot.pid, signal.SIGCONT):
                slot.sent = signal.SIGTERM
                logs.info("worker asked to end", slot=slot.number, pid=slot.pid)
            else:
                self._tell_forbidden(slot)

    def kill(self, why: str) -> None:
        """SIGKILL for every worker and what it started. `why` is told; reap() sees the ends."""
        for slot in self._alive():
            self._kill(slot, why)

    def _kill(self, slot: Slot, why: str) -> None:
        if group.send(slot.pid, signal.SIGKILL):
            slot.sent = signal.SIGKILL
            logs.warning(f"worker killed: {why}", slot=slot.number, pid=slot.pid)
        else:
            self._tell_forbidden(slot)

    def leave(self, why: str) -> None:
        """The end of lb: kill what there still is, for the reason `why`, and see it end.

        What does not end, because it is traced, or amid a system call that can't be interrupted, or not ours to kill,
        is told and left behind. The second time, nothing happens.
        """
        if self._has_left:
            return
        self._has_left = self._is_stopping = True
        for slot in self.slots:
            slot.restart_ns = NEVER_NS
        self.kill(why)
        deadline_ns = time.monotonic_ns() + int(LEAVE_S * 1e9)
        self.reap()
        while self.running and time.monotonic_ns() < deadline_ns:
            self._wake_ups.wait(deadline_ns)
            self._wake_ups.take()
            self.reap()
        for slot in self.slots:
            if slot.state is not State.EMPTY:
                logs.error("worker left behind: it does not end", slot=slot.number, pid=slot.pid)
                self._close_descriptors(slot)

    @property
    def running(self) -> int:
        """Slots of whose worker, or of what it started, something is still there, or that are to get one."""
        return sum(slot.state is not State.EMPTY or slot.restart_ns < NEVER_NS for slot in self.slots)

    @property
    def stuck(self) -> int:
        """Workers that do not read."""
        return sum(slot.state is State.STUCK for slot in self.slots)

    @property
    def restarts_total(self) -> int:
        return sum(max(slot.starts_total - 1, 0) for slot in self.slots)

    def _happens(self, slot: Slot, event: Event) -> None:
        action, after = ACTIONS[slot.state, event]
        self._starting += (after is State.STARTING) - (slot.state is State.STARTING)
        slot.state = after
        action(self, slot)

    def _fork(self, slot: Slot) -> None:
        slot.restart_ns = NEVER_NS
        try:
            self._realign_pipes(slot)
            self._spawn(slot)
        except OSError as fault:
            slot.fault = fault
            self._happens(slot, Event.REFUSED)

    def _spawn(self, slot: Slot) -> None:
        """Raises OSError; then there is no process. All that can fail comes before it."""
        slot.pid = 0  # the one before has gone: whatever fails here, its number is not to be signalled, nor all of lb's
        try:
            slot.channel = Channel()
            self._wake_ups.watch(slot.channel.fileno(), lambda: self._hear(slot))
            slot.report_fd, report_end = os.pipe2(os.O_CLOEXEC)
            with os.fdopen(report_end, "wb", 0):
                self._wake_ups.watch(slot.report_fd, lambda: self._read_report(slot))
                slot.taken_bytes_before = self._taken(slot)
                slot.oom_kills_before = self._oom_kills.total()
                slot.started_ns = time.monotonic_ns()
                told = self._redelivery.begin(slot) if self._redelivery is not None else {}
                slot.order = order_of(
                    self._config, self._allowance, list(slot.pipe_by_fd), slot.channel.worker_fd(), told
                )
                slot.pid = spawn(slot.order, report_end)
        except OSError:
            self._close_descriptors(slot)
            raise
        slot.channel.close_worker_end()
        slot.is_held = False
        slot.is_paused = slot.is_replaced = False
        slot.sent = None
        slot.status = ""
        slot.acknowledged.clear()
        self._by_pid[slot.pid] = slot

    def _read_report(self, slot: Slot) -> None:
        assert slot.order is not None
        assert slot.report_fd is not None
        slot.fault = report(slot.order, slot.report_fd)
        self._close_report(slot)
        if slot.fault is not None:
            self._happens(slot, Event.FAILS)
        elif has_run_program(slot.pid):
            self._happens(slot, Event.RUNS)  # else it was killed before, and its end is about to be seen

    def _tell_start(self, slot: Slot) -> None:
        logs.info("worker started", slot=slot.number, pid=slot.pid, pipes=len(slot.pipes))
        self._has_run = True
        slot.starts_total += 1

    def _tell_refusal(self, slot: Slot) -> None:
        self._tell_fault(slot)
        self._restart_later(slot)

    def _tell_failure(self, slot: Slot) -> None:
        self._leaving[slot.number] = slot
        self._tell_fault(slot)

    def _tell_fault(self, slot: Slot) -> None:
        fault = slot.fault
        assert fault is not None
        if slot.starts_total == 0 and not self._is_stopping:
            raise Unavailable(f"worker can't be started: {fault.strerror}: {fault.filename!r}")
        logs.error("worker can't be started", slot=slot.number, error=fault.strerror, path=fault.filename)

    def _tell_stuck(self, slot: Slot) -> None:
        still = slot.still
        assert still is not None
        slot.stuck_since_ns = time.monotonic_ns() - still.still_ns
        self.stuck_total += 1
        logs.warning(
            "worker does not read its pipe", slot=slot.number, pid=slot.pid, pipe=still.pipe,
            held_bytes=still.held_bytes, still_s=still.still_ns / 1e9,
            condition=condition(slot.pid, self._pipes.read_fds[still.pipe]),
        )  # fmt: skip
        if self._config.on_stuck is OnStuck.RESTART and not self._is_ending(slot):
            self._kill(slot, "it does not read its pipe")

    def _tell_reads(self, slot: Slot) -> None:
        stuck_s = (time.monotonic_ns() - slot.stuck_since_ns) / 1e9
        logs.warning("worker reads again", slot=slot.number, pid=slot.pid, stuck_s=stuck_s)

    def _bury(self, slot: Slot) -> None:
        """The group is killed before its leader is reaped: its number stays its own until then."""
        self._leaving[slot.number] = slot
        group.send(slot.pid, signal.SIGKILL)
        status = self._reap(slot)
        slot.ran_s = (time.monotonic_ns() - slot.started_ns) / 1e9
        slot.has_finished = self._is_ending(slot) and status == 0
        self.failures_total += self._is_ending(slot) and status != 0
        values = {"slot": slot.number, "pid": slot.pid, **cause(status), "ran_s": slot.ran_s}
        why = explain(status, oom_kills=self._oom_kills_during(slot), sent=slot.sent)
        slot.has_ended(cause(status), why)
        if slot.has_finished:
            logs.info("worker ended", **values)
        else:
            logs.error("worker ended", **values, why=why)

    def _oom_kills_during(self, slot: Slot) -> int | None:
        """Since its worker was started."""
        now, before = self._oom_kills.total(), slot.oom_kills_before
        return None if now is None or before is None else now - before

    def _reap(self, slot: Slot) -> int:
        _, status = os.waitpid(slot.pid, 0)
        del self._by_pid[slot.pid]
        return status

    def _vacate(self, slot: Slot) -> None:
        """Nothing of the worker reads the slot's pipes any more."""
        del self._leaving[slot.number]
        self._hear(slot, _LAST_MESSAGES)
        self._close_descriptors(slot)
        if slot.fault is None and not slot.has_finished and self._redelivery is None:
            self._tell_unfinished(slot)
        if self._is_ending(slot):
            return
        if slot.fault is None:
            made_progress = self._taken(slot) > slot.taken_bytes_before
            if slot.ran_s >= STABLE_S or (made_progress and slot.ran_s >= BRIEF_S):
                slot.backoff.reset()
            slot.unaligned = list(slot.pipes)
            with contextlib.suppress(OSError):  # said when it happens again, before the next start
                self._realign_pipes(slot)
        self._restart_later(slot)
        if not slot.is_replaced and slot.crashes.add(time.monotonic_ns()):
            self._tell_crashes(slot)

    def _tell_unfinished(self, slot: Slot) -> None:
        """Before its pipes are realigned, which takes from them, too."""
        if most_bytes := self._taken(slot) - slot.taken_bytes_before:
            records = f"unknown, at most {most_bytes} bytes"
            logs.warning("records that the worker had not finished", slot=slot.number, pid=slot.pid, records=records)

    def _tell_crashes(self, slot: Slot) -> None:
        ends = self._config.max_crashes
        if self._config.on_crashes is OnCrashes.EXIT:
            text = f"workers end too often: {ends} in slot {slot.number} within {crashes.WINDOW_S:g} s"
            self._crash_loop = Unavailable(text)
        else:
            logs.error("workers end too often", slot=slot.number, ends=ends, within_s=crashes.WINDOW_S)

    def _realign_pipes(self, slot: Slot) -> None:
        """Raises OSError with the pipe as its filename."""
        while slot.unaligned:
            pipe = slot.unaligned[-1]
            dropped_bytes = self._realign(pipe)
            slot.unaligned.pop()
            if dropped_bytes:
                logs.warning("rest of a half-read record dropped", pipe=pipe, bytes=dropped_bytes)

    def _restart_later(self, slot: Slot) -> None:
        if self._is_ending(slot):
            return
        is_first = slot.backoff.failures == 0
        delay_s = slot.backoff.next_delay_s()
        self._due.add(slot, time.monotonic_ns() + (0 if is_first else int(delay_s * 1e9)))
        if not is_first:
            logs.info("worker is restarted later", slot=slot.number, delay_s=delay_s)

    def _start_now(self, slot: Slot) -> None:
        self._due.add(slot, time.monotonic_ns())

    def _hear(self, slot: Slot, most: int = channel.MOST_AT_ONCE) -> None:
        """What the worker tells."""
        if slot.channel is None:
            return
        for message in slot.channel.receive(most):
            match message:
                case Ready():
                    slot.ready_total += 1
                    logs.debug("worker ready", slot=slot.number, pid=slot.pid)
                case Acknowledged(fd, records) if fd in slot.pipe_by_fd:
                    slot.acknowledged[slot.pipe_by_fd[fd]] = records
                case Status(text):
                    slot.status = text
                case Acknowledged() | Unknown():
                    slot.unknown_messages_total += 1
        if self._redelivery is not None:
            self._redelivery.take(slot)
        if slot.channel.has_ended:
            self._close_channel(slot)

    def _is_ending(self, slot: Slot) -> bool:
        return self._is_stopping or slot.is_finishing

    def _taken(self, slot: Slot) -> int:
        return sum(self._taken_bytes(pipe) for pipe in slot.pipes)

    def _alive(self) -> list[Slot]:
        return [slot for slot in self.slots if slot.is_alive]

    def _tell_forbidden(self, slot: Slot) -> None:
        logs.error("worker may not be signalled: it is another user's", slot=slot.number, pid=slot.pid)

    def _close_descriptors(self, slot: Slot) -> None:
        self._close_report(slot)
        self._close_channel(slot)

    def _close_report(self, slot: Slot) -> None:
        if slot.report_fd is not None:
            self._wake_ups.unwatch(slot.report_fd)
            os.close(slot.report_fd)
            slot.report_fd = None

    def _close_channel(self, slot: Slot) -> None:
        if slot.channel is not None:
            if self._redelivery is not None:
                self._redelivery.end(slot)
            self._wake_ups.unwatch(slot.channel.fileno())
            slot.channel.close()
            slot.channel = None


Action = Callable[[Supervisor, Slot], object]

ACTIONS: Mapping[tuple[State, Event], tuple[Action, State]] = {
    (State.EMPTY, Event.DUE): (Supervisor._fork, State.STARTING),
    (State.STARTING, Event.REFUSED): (Supervisor._tell_refusal, State.EMPTY),
    (State.STARTING, Event.RUNS): (Supervisor._tell_start, State.RUNNING),
    (State.STARTING, Event.FAILS): (Supervisor._tell_failure, State.LEAVING),
    (State.STARTING, Event.ENDS): (Supervisor._bury, State.LEAVING),
    (State.RUNNING, Event.STICKS): (Supervisor._tell_stuck, State.STUCK),
    (State.RUNNING, Event.ENDS): (Supervisor._bury, State.LEAVING),
    (State.STUCK, Event.READS): (Supervisor._tell_reads, State.RUNNING),
    (State.STUCK, Event.ENDS): (Supervisor._bury, State.LEAVING),
    (State.LEAVING, Event.ENDS): (Supervisor._reap, State.LEAVING),
    (State.LEAVING, Event.GONE): (Supervisor._vacate, State.EMPTY),
}
"""The table above."""
