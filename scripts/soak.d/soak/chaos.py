"""What goes wrong, and when: three schedules side by side, against the workers, the connection, and lb itself.

Each draws its faults and its pauses from the seed and waits for every fault to be survived before the next. The same
seed gives the same faults in the same order; when they meet, the machine decides.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from soak.lives import Lives
from soak.programs import Failed, Lb, wait_for
from soak.proxy import Fate, Proxy

_SURVIVED_BYTES = 1 << 20
"""So much over a new connection, and it works."""
_STABLE_S = 11.0
"""lb forgets earlier failures of a session after 10 s, and of a worker after 1 s and progress."""
_DEAD_S = 60.0
"""lb notices a dead connection after 30 s. A soak shorter than this has none."""
_HARMLESS = (signal.SIGCONT, signal.SIGWINCH, signal.SIGCHLD, signal.SIGURG)


@dataclass
class Tally:
    """Of one kind of fault."""

    injected: int = 0
    took_s: list[float] = field(default_factory=list)
    """From a fault's begin, its own length included, until it was survived."""


Fault = Callable[[Random], None]


class Chaos:
    """start() begins, stop() lets the faults that are on end and raises Failed where one was not survived."""

    def __init__(self, lb: Lb, proxy: Proxy, lives: Lives, seed: int, seconds: float) -> None:
        self._lb = lb
        self._proxy = proxy
        self._lives = lives
        self._over = threading.Event()
        self._failures: list[str] = []
        self.deaths = 0
        """Workers that were made to end."""
        self.tallies: dict[str, Tally] = {}
        connection: dict[str, tuple[float, Fault]] = {
            "connection reset": (4, self._reset),
            "connection cut": (4, self._cut),
            "connection refused for a while": (2, self._refuse),
            "connection stalled, then a burst": (6, self._stall),
            "connection in pieces of a few bytes": (4, self._trickle),
        }
        if seconds > _DEAD_S:
            connection["connection dead, nobody told"] = (1, self._die)
        workers: dict[str, tuple[float, Fault]] = {
            "worker killed": (6, self._kill),
            "worker killed while stopped": (3, self._kill_stopped),
            "worker stopped and continued": (4, self._stop_and_continue),
            "worker ended by itself, exit code 0": (3, self._end_itself),
            "worker killed, and its successor at once": (2, self._kill_twice),
            "all workers killed": (2, self._kill_all),
            "all workers stopped and continued": (2, self._stop_all),
        }
        lb_itself: dict[str, tuple[float, Fault]] = {
            "lb asked for its balance (SIGUSR1)": (5, self._ask),
            "lb sent 50 x SIGUSR1": (2, self._ask_often),
            "lb sent CONT, WINCH, CHLD, URG": (3, self._send_harmless),
            "lb stopped and continued": (3, self._stop_lb),
        }
        self._threads = [
            self._schedule(f"{seed} connection", connection, 0.1, min(_STABLE_S, seconds / 8)),
            self._schedule(f"{seed} workers", workers, 0.0, min(3.0, seconds / 16)),
            self._schedule(f"{seed} lb", lb_itself, 0.2, min(8.0, seconds / 8)),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    @property
    def has_failed(self) -> bool:
        return bool(self._failures)

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise Failed("; ".join(self._failures))

    def _schedule(
        self, seed: str, faults: dict[str, tuple[float, Fault]], least_s: float, most_s: float
    ) -> threading.Thread:
        names, weights = list(faults), [weight for weight, _ in faults.values()]
        self.tallies.update((name, Tally()) for name in names)
        random = Random(seed)

        def run() -> None:
            first = random.sample(names, len(names))  # each once, before chance decides
            while not self._over.wait(random.uniform(least_s, most_s)):
                name = first.pop() if first else random.choices(names, weights)[0]
                began_s = time.monotonic()
                tally = self.tallies[name]
                tally.injected += 1
                try:
                    faults[name][1](random)
                except (Failed, OSError) as error:
                    self._failures.append(f"{name}: {error}")
                    self._over.set()
                    return
                tally.took_s.append(time.monotonic() - began_s)

        return threading.Thread(target=run, daemon=True)

    # against workers

    def _slots(self, random: Random, count: int) -> list[int]:
        """Slots whose workers live and have finished something."""
        slots = random.sample(sorted(self._lb.pids), count)
        for slot in slots:
            wait_for(f"progress of the worker of pipe {slot}", partial(self._finished, slot))
        return slots

    def _finished(self, slot: int) -> int:
        told = self._lives.of(self._lb.pids[slot])
        return told.finished if told else 0

    def _has_finished_more(self, slot: int, before: int) -> bool:
        return self._finished(slot) > before

    def _has_successor(self, slot: int, pid: int) -> bool:
        return self._lb.pids[slot] != pid and self._finished(slot) > 0

    def _end(self, slots: Sequence[int], *numbers: signal.Signals) -> None:
        """Send signals that end these workers, and wait until their successors have finished something."""
        before = {slot: self._lb.pids[slot] for slot in slots}
        for number in numbers:
            for pid in before.values():
                os.kill(pid, number)
        self.deaths += len(slots)
        for slot in slots:
            wait_for(
                f"progress of the successor of worker {before[slot]} on pipe {slot}",
                partial(self._has_successor, slot, before[slot]),
            )

    def _kill(self, random: Random) -> None:
        self._end(self._slots(random, 1), signal.SIGKILL)

    def _kill_stopped(self, random: Random) -> None:
        slots = self._slots(random, 1)
        os.kill(self._lb.pids[slots[0]], signal.SIGSTOP)
        time.sleep(random.uniform(0, 1))
        self._end(slots, signal.SIGKILL)

    def _end_itself(self, random: Random) -> None:
        self._end(self._slots(random, 1), signal.SIGUSR2)

    def _kill_twice(self, random: Random) -> None:
        slots = self._slots(random, 1)
        self._end(slots, signal.SIGKILL)
        self._end(slots, signal.SIGKILL)

    def _kill_all(self, random: Random) -> None:
        self._end(self._slots(random, len(self._lb.pids)), signal.SIGKILL)

    def _pause(self, slots: Sequence[int], time_s: float) -> None:
        pids = [self._lb.pids[slot] for slot in slots]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(time_s)
        before = {slot: self._finished(slot) for slot in slots}
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        for slot in slots:
            wait_for(
                f"progress of the continued worker of pipe {slot}",
                partial(self._has_finished_more, slot, before[slot]),
            )

    def _stop_and_continue(self, random: Random) -> None:
        self._pause(self._slots(random, 1), random.uniform(0.1, 2))

    def _stop_all(self, random: Random) -> None:
        self._pause(self._slots(random, len(self._lb.pids)), random.uniform(0.1, 2))

    # against the connection

    def _await_new_connection(self, before: int) -> None:
        wait_for(
            "a new connection that brings records",
            lambda: len(self._proxy.connections) > before and self._proxy.bytes_of_connection > _SURVIVED_BYTES,
        )

    def _lose(self, lose: Callable[[], None]) -> None:
        wait_for("a connection that brings records", lambda: self._proxy.bytes_of_connection > _SURVIVED_BYTES)
        before = len(self._proxy.connections)
        lose()
        self._await_new_connection(before)

    def _reset(self, random: Random) -> None:
        self._lose(lambda: self._proxy.end(Fate.RESET))

    def _cut(self, random: Random) -> None:
        self._lose(lambda: self._proxy.end(Fate.CUT))

    def _die(self, random: Random) -> None:
        self._lose(lambda: self._proxy.end(Fate.DEAD))

    def _refuse(self, random: Random) -> None:
        self._lose(lambda: self._proxy.refuse(random.uniform(0.1, 2)))

    def _go_on(self, spoil: Callable[[], None]) -> None:
        """The same connection must outlive it."""
        wait_for("a connection that brings records", lambda: self._proxy.bytes_of_connection > _SURVIVED_BYTES)
        connections = len(self._proxy.connections)
        spoil()
        before = self._proxy.bytes_of_connection
        wait_for("records after a pause", lambda: self._proxy.bytes_of_connection > before + _SURVIVED_BYTES)
        if len(self._proxy.connections) != connections:
            raise Failed("lb gave up a connection that lived")

    def _stall(self, random: Random) -> None:
        self._go_on(lambda: self._proxy.stall(random.uniform(0.1, 4)))

    def _trickle(self, random: Random) -> None:
        self._go_on(lambda: self._proxy.trickle(random.uniform(0.1, 2), random.randint(1, 40)))

    # against lb

    def _ask(self, random: Random) -> None:
        self._lb.balance()

    def _ask_often(self, random: Random) -> None:
        for _ in range(50):
            self._lb.send(signal.SIGUSR1)
        self._lb.balance()

    def _send_harmless(self, random: Random) -> None:
        for _ in range(random.randint(1, 40)):
            self._lb.send(random.choice(_HARMLESS))
        self._lb.balance()

    def _stop_lb(self, random: Random) -> None:
        self._lb.send(signal.SIGSTOP)
        time.sleep(random.uniform(0.1, 2))
        self._lb.send(signal.SIGCONT)
        self._lb.balance()
