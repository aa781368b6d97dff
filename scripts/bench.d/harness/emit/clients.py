"""lb-emit, fed by a pipe with 100,000 trades a second, and clients that read and throw away (many_websockets.py).

CPU time is lb-emit's alone; what the kernel does for a frame is in it, on loopback also the receiving. Memory is its
own, not the kernel's. A frame's age is told by its `ms`, and taken by one more client, here.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from harness import processes
from harness.emit import row
from harness.errors import TrialError
from harness.programs import BENCH
from harness.rows import Absent, Terms
from lb.slots.pipes import enlarge

FRAMES = "5,000 clients of the same 100 symbols, ticks of 50 ms: frames per core-second"
VALUES = "... values delivered a second"
MEMORY = "... memory of lb-emit for a client"
OWN = "2,000 clients of 20 symbols each, of 500, ticks of 100 ms: frames per core-second"
SILENT_GROWTH = "2,000 clients, 500 of them never read: growth of lb-emit's memory"
SILENT_P99 = "... p99 of a frame's age, to none that never reads"

_PROGRAM = BENCH / "clients" / "many_websockets.py"
_BATCH, _BATCH_S = 500, 0.005
_SECONDS, _QUICK_SECONDS = 6.0, 0.5
WARM_S = 1.5
_KIB, _MIB = 1 << 10, 1 << 20
_PIPE_BYTES = 1 << 20


@dataclass(frozen=True)
class Terrain:
    clients: int
    symbols: int
    tick_ms: int
    own: int = 0
    """Each client asks for so many symbols of its own; 0: for all."""
    silent: int = 0


@dataclass(frozen=True)
class Trial:
    frames: float
    values: float
    cpu_s: float
    seconds: float
    client_bytes: float
    growth_bytes: float
    ages_ms: list[float]

    @property
    def frames_per_core_s(self) -> float:
        return self.frames / self.cpu_s

    @property
    def p99_ms(self) -> float:
        return sorted(self.ages_ms)[int(0.99 * (len(self.ages_ms) - 1))]


SHARED = Terrain(5_000, 100, 50)
OWN_ONES = Terrain(2_000, 500, 100, own=20)
ALL_READ = Terrain(2_000, 100, 50)
SOME_SILENT = Terrain(2_000, 100, 50, silent=500)


@lru_cache
def trials_of(terms: Terms, terrain: Terrain) -> list[Trial]:
    try:
        import prometheus_client  # noqa: F401
        import websockets  # noqa: F401
    except ImportError as lack:
        raise Absent(f"{lack.name} is not installed") from None
    return [trial(terms, terrain) for _ in range(terms.rounds)]


def seconds_of(terms: Terms) -> float:
    return _QUICK_SECONDS if terms.quick else _SECONDS


def trial(terms: Terms, terrain: Terrain) -> Trial:
    if terms.quick:
        terrain = Terrain(40, terrain.symbols, terrain.tick_ms, terrain.own, terrain.silent and 10)
    return _trial(terrain, seconds_of(terms))


def _trial(terrain: Terrain, seconds: float) -> Trial:
    names = [f"S{number:03}" for number in range(terrain.symbols)]
    with _emit(terrain, names) as (pid, port, metrics):
        began_bytes = processes.resident_bytes(pid)
        with _clients(terrain, names, port) as ages_ms:
            time.sleep(WARM_S)
            before, counted, warm_bytes = processes.sample((pid,)), _counts(metrics), processes.resident_bytes(pid)
            ages_ms.clear()
            time.sleep(seconds)
            after, then = processes.sample((pid,)), _counts(metrics)
            end_bytes = processes.resident_bytes(pid)
    if then["closed_slow"] or not ages_ms:
        raise TrialError(f"{then['closed_slow']:.0f} clients were closed, {len(ages_ms)} frames came here")
    return Trial(
        then["frames"] - counted["frames"],
        then["values"] - counted["values"],
        sum(used.total_s for used in after.cpu_since(before)),
        after.at_s - before.at_s,
        (end_bytes - began_bytes) / terrain.clients,
        end_bytes - warm_bytes,
        ages_ms,
    )


@contextlib.contextmanager
def _emit(terrain: Terrain, names: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Its pid, its port, and where its metrics are."""
    read_fd, write_fd = os.pipe()
    enlarge(write_fd, _PIPE_BYTES)
    options = ("--clients-per-address", "0", "--slow-after", "600", "--drain", "0", "--tick-ms", str(terrain.tick_ms))
    ports = ("--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0")
    words = [sys.executable, "-m", "trade_balancer.emit.program", *ports, *options, str(read_fd)]
    over = threading.Event()
    with subprocess.Popen(words, pass_fds=(read_fd,), stdout=subprocess.PIPE, text=True) as process:
        os.close(read_fd)
        feeding = threading.Thread(target=_feed, args=(write_fd, names, over))
        try:
            assert process.stdout is not None
            page, metrics = process.stdout.readline().split(), process.stdout.readline().split()
            if len(page) < 3 or len(metrics) < 3:
                raise TrialError("lb-emit did not begin")
            feeding.start()
            yield process.pid, int(page[2].rstrip("/").rpartition(":")[2]), metrics[2]
        finally:
            over.set()
            if feeding.is_alive():
                feeding.join()
            os.close(write_fd)
            process.terminate()


def _feed(write_fd: int, names: Sequence[str], over: threading.Event) -> None:
    """100,000 trades a second, of all symbols in turn."""
    block = b"".join(_frame(names[number % len(names)], number) for number in range(_BATCH))
    due_s = time.monotonic()
    while not over.is_set():
        os.write(write_fd, block)
        due_s += _BATCH_S
        time.sleep(max(0.0, due_s - time.monotonic()))


def _frame(name: str, number: int) -> bytes:
    text = '{"ev":"T","sym":"%s","i":"52983527388738","x":4,"p":%d.%02d,"s":%d,"t":%d,"pt":1781622376036,"q":%d,"z":3}'
    values = (name, 100 + number % 7, number % 100, 1 + number % 300, 1_781_622_376_036 + number, number)
    record = (text % values).encode()
    return len(record).to_bytes(4, "little") + record


@contextlib.contextmanager
def _clients(terrain: Terrain, names: Sequence[str], port: int) -> Iterator[list[float]]:
    """All but one in a process of their own; what comes into the list are the ages of that one's frames, ms."""
    from websockets.sync.client import connect

    topics = [",".join(f"T.{name}" for name in some) for some in _choices(terrain, names)]
    asked = [json.dumps({"action": "subscribe", "params": some}) for some in topics]
    ages_ms: list[float] = []
    with many_clients(f"127.0.0.1:{port}/ws", terrain.clients - 1, terrain.silent, asked):
        with connect(f"ws://127.0.0.1:{port}/ws", compression=None) as probe:
            probe.send(asked[0])
            reading = threading.Thread(target=_read, args=(probe, ages_ms))
            reading.start()
            yield ages_ms
        reading.join()


@contextlib.contextmanager
def many_clients(place: str, clients: int, silent: int, words: Sequence[str]) -> Iterator[None]:
    """In a process of their own; they have said the words."""
    command = [sys.executable, str(_PROGRAM), place, str(clients), str(silent), *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if process.stdout.readline() != "ready\n":
                raise TrialError("the clients did not begin")
            yield
        finally:
            process.stdin.close()


def _choices(terrain: Terrain, names: Sequence[str]) -> list[Sequence[str]]:
    if not terrain.own:
        return [names]
    doubled = [*names, *names]
    return [doubled[begin : begin + terrain.own] for begin in range(len(names))]


def _read(probe: object, ages_ms: list[float]) -> None:
    from websockets.exceptions import ConnectionClosed

    with contextlib.suppress(ConnectionClosed):
        for message in probe:  # type: ignore[attr-defined]
            said = json.loads(message)
            if isinstance(said, dict):
                ages_ms.append(time.time() * 1e3 - said["ms"])


def _counts(metrics: str) -> dict[str, float]:
    with urllib.request.urlopen(metrics) as answer:
        lines = [line.partition("{") for line in answer.read().decode().splitlines() if not line.startswith("#")]
    totals = {name: float(rest.rpartition(" ")[2]) for name, _, rest in lines}
    names = {"frames": "frames", "values": "values", "closed_slow": "clients_closed_slow"}
    return {key: totals[f"lb_emit_{name}_total"] for key, name in names.items()}


@row(FRAMES)
def frames(terms: Terms) -> list[float]:
    """Thousand."""
    return [each.frames_per_core_s / 1e3 for each in trials_of(terms, SHARED)]


@row(VALUES)
def values(terms: Terms) -> list[float]:
    """Million."""
    return [each.values / each.seconds / 1e6 for each in trials_of(terms, SHARED)]


@row(MEMORY)
def memory(terms: Terms) -> list[float]:
    """KiB."""
    return [each.client_bytes / _KIB for each in trials_of(terms, SHARED)]


@row(OWN)
def own(terms: Terms) -> list[float]:
    """Thousand."""
    return [each.frames_per_core_s / 1e3 for each in trials_of(terms, OWN_ONES)]


@row(SILENT_GROWTH)
def silent_growth(terms: Terms) -> list[float]:
    """MiB."""
    return [each.growth_bytes / _MIB for each in trials_of(terms, SOME_SILENT)]


@row(SILENT_P99)
def silent_p99(terms: Terms) -> list[float]:
    pairs = zip(trials_of(terms, SOME_SILENT), trials_of(terms, ALL_READ), strict=True)
    return [silent.p99_ms / all_read.p99_ms for silent, all_read in pairs]
