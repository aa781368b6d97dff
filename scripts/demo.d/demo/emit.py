"""A made-up market -> lb -> lb-emit -> a page, a client that keeps up, and one that falls asleep again and again."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from rich.console import Console
from rich.table import Table
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from demo.programs import balancer_for_readers, emitter, feed

RATE = 20_000
_SLEEP_S = 2.0
_NEW_MS = 100.0
_LONGEST_WAIT_S = 30
_SMALL_BYTES = 4096
"""Of a socket, so that what a slow client gets is not what the kernel has kept for it."""


@dataclass
class Seen:
    """By one client."""

    sleep_s: float
    frames: int = 0
    values: int = 0
    skipped: int = 0
    times_ms: list[float] = field(default_factory=list)
    """How old each frame's newest value was when it was read; of a sleeper, from its waking to having the newest."""
    woke_ms: float = 0.0

    def take(self, said: Any, now_ms: float) -> bool:
        """Whether it has the newest."""
        trades = said.get("T", {})
        self.frames += 1
        self.values += len(trades)
        self.skipped += said["skipped"]
        age_ms = now_ms - max(time_ms for *_, time_ms in trades.values())
        if not self.sleep_s:
            self.times_ms.append(age_ms)
        elif age_ms < _NEW_MS and self.woke_ms:
            self.times_ms.append(now_ms - self.woke_ms)
        return age_ms < _NEW_MS

    def time_ms(self, part: float) -> str:
        times_ms = sorted(self.times_ms)
        return f"{times_ms[int(part * (len(times_ms) - 1))]:,.1f}" if times_ms else "-"


def show(duration_s: int) -> int:
    console = Console(highlight=False, soft_wrap=True)
    with (
        tempfile.TemporaryDirectory(prefix="lb-demo-") as folder,
        feed("--rate", str(RATE), "--stamp") as source,
        balancer_for_readers(source, Path(folder) / "lb.sock") as lb,
        emitter(Path(folder) / "lb.sock") as (page, websockets),
    ):
        console.print(f"for {duration_s} s, a made-up market of {RATE:,} trades/s is to be seen at\n\n    {page}\n")
        console.print("meanwhile two clients take all symbols, and one of them sleeps most of the time")
        seen = [Seen(0.0), Seen(_SLEEP_S)]
        over = threading.Event()
        threads = [threading.Thread(target=_watch, args=(websockets, each, over)) for each in seen]
        for thread in threads:
            thread.start()
        until_s = time.monotonic() + duration_s
        while lb.runs and all(thread.is_alive() for thread in threads):
            now_s = time.monotonic()
            if now_s > until_s and (is_good(seen) or now_s > until_s + _LONGEST_WAIT_S):
                break
            time.sleep(0.1)
        over.set()
        for thread in threads:
            thread.join()
    console.print()
    console.print(outcome(seen))
    words = "who is slow has the newest, and knows what it has skipped" if is_good(seen) else "NOT AS IT SHOULD BE"
    console.print(f"{words}\nthe page was at {page}; for an hour: scripts/demo --emit --seconds 3600")
    return 0 if is_good(seen) else 1


def is_good(seen: list[Seen]) -> bool:
    return all(each.frames for each in seen) and seen[1].skipped > 0


def _watch(address: str, seen: Seen, over: threading.Event) -> None:
    place = urlsplit(address)
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BYTES if seen.sleep_s else 1 << 20)
    made.connect((place.hostname, place.port))
    with connect(address, sock=made, compression=None, max_size=None, max_queue=1) as client:
        client.send(orjson.dumps({"action": "subscribe", "params": "T.*"}).decode())
        while not over.is_set():
            try:
                said = orjson.loads(client.recv(0.5))
            except TimeoutError:
                continue
            except ConnectionClosed:
                return
            if isinstance(said, dict) and seen.take(said, time.time() * 1e3) and seen.sleep_s:
                over.wait(seen.sleep_s)
                seen.woke_ms = time.time() * 1e3


def outcome(seen: list[Seen]) -> Table:
    table = Table()
    for head in ("", "reads at once", f"sleeps for {_SLEEP_S:g} s at a time"):
        table.add_column(head, justify="right" if head else "left")
    table.add_row("frames", *(f"{each.frames:,}" for each in seen))
    table.add_row("values", *(f"{each.values:,}" for each in seen))
    table.add_row("values skipped", *(f"{each.skipped:,}" for each in seen))
    parts = [f"{each.time_ms(0.5)} / {each.time_ms(0.99)} ms" for each in seen]
    table.add_row("age of what it reads, p50 / p99", parts[0], "")
    table.add_row("from waking to the newest, p50 / p99", "", parts[1])
    return table
