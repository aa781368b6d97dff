"""A program that reads a topic as one of a group, as a process of its own, and what it has handled of a flood."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Self

from feeding import ROOT
from harness.flood import SYMBOLS

TIMEOUT_S = 60.0
HANDLER = """
import sys
from trade_balancer import run
def handler(records, fd):
    sys.stdout.write("".join(f"{record['sym']} {record.get('q', record.get('n'))}\\n" for record in records))
    sys.stdout.flush()
run(handler, batch=True)
"""


@contextmanager
def member_of(*more: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HANDLER, *more]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


class Member:
    """Tells each record when it has handled it, and the commit of that follows; read here line by line."""

    def __init__(self, brokers: str, topic: str, *options: str) -> None:
        quick = ("-X", "fetch.wait.max.ms=10", "-X", "auto.commit.interval.ms=50", "-X", "heartbeat.interval.ms=300")
        self._command = ("--kafka", brokers, "--topic", topic, "--group", topic, *quick, *options)
        self._stack = ExitStack()
        self._changed = threading.Condition()
        self.by_symbol: dict[str, list[int]] = defaultdict(list)
        """Numbers of records as they came, but for those that are not above the symbol's newest: they came again."""
        self.count = 0
        self.longest_pause_s = 0.0
        self._newest_at_s = time.monotonic()

    def __enter__(self) -> Self:
        self.process = self._stack.enter_context(member_of(*self._command))
        reader = threading.Thread(target=self._read)
        reader.start()
        self._stack.callback(reader.join)
        self._stack.callback(self.process.kill)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def numbers(self) -> list[int]:
        return sorted(number for numbers in self.by_symbol.values() for number in numbers)

    def has(self, number: int) -> bool:
        """This one, or a newer one of its symbol."""
        numbers = self.by_symbol.get(f"S{number % SYMBOLS}", [])
        return bool(numbers) and numbers[-1] >= number

    def kill(self) -> None:
        """Returns when it has ended, and all that it had told is here."""
        self.process.kill()
        self.process.wait()

    def wait_until(self, has_come: Callable[[], object]) -> None:
        """Asks whenever something has come."""
        with self._changed:
            assert self._changed.wait_for(has_come, TIMEOUT_S), f"{self.count} records"

    def forget_pauses(self) -> None:
        with self._changed:
            self._newest_at_s = time.monotonic()
            self.longest_pause_s = 0.0

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            symbol, number = line.split()
            with self._changed:
                now_s = time.monotonic()
                self.longest_pause_s = max(self.longest_pause_s, now_s - self._newest_at_s)
                self._newest_at_s = now_s
                if not self.has(int(number)):
                    self.by_symbol[symbol].append(int(number))
                    self.count += 1
                self._changed.notify_all()


def have_all(members: Collection[Member], end: int) -> bool:
    """All numbers before this one, by the newest of each symbol."""
    return all(any(member.has(number) for member in members) for number in range(end - SYMBOLS, end))
