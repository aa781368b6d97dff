"""The figures to reach, each with what was measured and whether it is met. The bounds stand here and nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.attach import (
    EVERYTHING,
    FIRST_RECORD,
    MANY,
    RECORDED,
    RECORDED_SHARE,
    SCRAPED,
    STUCK,
    STUCK_P99,
    TEN_SYMBOLS,
)
from harness.books import engine, latency, scan, service
from harness.candidates import LB, LB_SYMBOL, LB_TLS, LIMIT, ONE_WRITE, PYTHON_CLIENTS, TLS_LIMIT, is_peer
from harness.emit import centrifugo, clients
from harness.faults.frozen import FROZEN_DROP, FROZEN_SPILL
from harness.faults.redeliver import REDELIVER
from harness.faults.restart import RESTART
from harness.faults.spill import SPILL
from harness.kafka import consuming, producing
from harness.ledger import postgresql as ledger_postgresql
from harness.ledger import rate as ledger_rate
from harness.plan import Pace, Point
from harness.results import PUMP, Metric, Results, Spread, spread
from harness.rows import RowResults
from harness.trial import Trial
from harness.upgrade.gap import CRASH, UPGRADE
from harness.upgrade.memory import MEMFD
from harness.workers import WorkerResults

MEMORY_RECORDS = 100_000_000
"""How long the memory must stay flat."""

_MIB = 1 << 20
_MAIN = tuple(Point("160", 20, pipes) for pipes in (4, 16, 64))
_MAIN_TEXT = "ws, 20 records a frame, 4, 16 and 64 pipes"
_SINGLE = (Point("160", 1, 16),)
_TLS = (Point("160", 20, 16, tls=True),)
_BURSTY_TEXT = "bursty, every rate, to one-write-per-record"


@dataclass(frozen=True)
class Bound:
    """What a figure must not fall below, or rise above."""

    sign: str
    value: float
    unit: str = "x"

    def __str__(self) -> str:
        return f"{self.sign} {self.value:g} {self.unit}".rstrip()

    def holds(self, figure: float) -> bool:
        return figure >= self.value if self.sign == ">=" else figure <= self.value


@dataclass(frozen=True)
class Figure:
    """One row. met is None where it was not measured; `measured` then says why."""

    what: str
    goal: str
    measured: str
    met: bool | None


_JSON_READERS = ("polars.read_ndjson, in memory", "pyarrow.json, in memory", "DuckDB's read_json, a file in memory")


def worker_figures(results: WorkerResults) -> list[Figure]:
    """Of the part `workers`; million records per second of a core's time."""
    batches, dicts = "batches of bytes", "dicts"
    few, every = "columns: sym, p, s, t", "columns: all members"
    return [
        _row_rate(results, batches, Bound(">=", 4, "M/s")),
        _row_ratio(results, batches, "a buffered read(4) + read(n)", Bound(">=", 3)),
        _row_ratio(results, dicts, "orjson.loads, in memory", Bound(">=", 0.9)),
        _row_rate(results, few, Bound(">=", 10, "M/s")),
        _row_ratio(results, few, dicts, Bound(">=", 20)),
        _row_rate(results, every, Bound(">=", 5, "M/s")),
        _row_ratio(results, every, "typed objects", Bound(">=", 5)),
        *(_row_ratio(results, every, reader, Bound(">=", 6)) for reader in _JSON_READERS),
        _row_rate(results, "lb-bars", Bound(">=", 4, "M/s")),
        _row_rate(results, "lb-parquet", Bound(">=", 1.5, "M/s")),
        _row_ratio(results, "lb-sql, PostgreSQL", "psycopg's binary COPY, in memory", Bound(">=", 0.8)),
        _row_ratio(results, "lb-sql, SQLite", "SQLite's executemany, in memory", Bound(">=", 0.8)),
    ]


def fault_figures(faults: RowResults, results: Results) -> list[Figure]:
    """Of the part `faults`; the last is the part `throughput`'s."""
    return [
        _fault(faults, RESTART, Bound("<=", 20, "ms")),
        _fault(faults, FROZEN_DROP, Bound("<=", 1.2)),
        _fault(faults, FROZEN_SPILL, Bound("<=", 1.2)),
        _fault(faults, REDELIVER, Bound(">=", 0.8)),
        _fault(faults, SPILL, Bound(">=", 3, "M/s")),
        _to_peer(results, "everything off, throughput to the commit before", Bound(">=", 0.99)),
    ]


def upgrade_figures(upgrades: RowResults, _: Results) -> list[Figure]:
    """Of the part `upgrade`."""
    bounds = {UPGRADE: Bound("<=", 50, "ms"), CRASH: Bound("<=", 500, "ms"), MEMFD: Bound(">=", 0.98)}
    return [_fault(upgrades, name, bound) for name, bound in bounds.items()]


def attach_figures(readers: RowResults, results: Results) -> list[Figure]:
    """Of the part `attach`; the first is the part `throughput`'s."""
    return [
        _to_peer(results, "no reader, throughput to the commit before", Bound(">=", 0.99)),
        _fault(readers, TEN_SYMBOLS, Bound(">=", 0.9)),
        _fault(readers, EVERYTHING, Bound(">=", 0.7)),
        _fault(readers, STUCK, Bound(">=", 0.95)),
        _fault(readers, STUCK_P99, Bound("<=", 1.05)),
        _fault(readers, SCRAPED, Bound(">=", 0.99)),
        _fault(readers, FIRST_RECORD, Bound("<=", 20, "ms")),
        _fault(readers, MANY, Bound(">=", 0.5)),
        _fault(readers, RECORDED, Bound(">=", 0.9)),
        _fault(readers, RECORDED_SHARE, Bound(">=", 0)),
    ]


def kafka_figures(queued: RowResults, _: Results) -> list[Figure]:
    """Of the part `kafka`."""
    return [
        _fault(queued, producing.PACKED, Bound(">=", 1.2, "million")),
        _fault(queued, producing.PACKED_CPU, Bound("<=", 1.5, "us")),
        _fault(queued, producing.SINGLE, Bound(">=", 0.8, "million")),
        _fault(queued, producing.SINGLE_CPU, Bound("<=", 2.0, "us")),
        _fault(queued, producing.TO_LOOP, Bound(">=", 2)),
        _fault(queued, producing.TO_EQUAL_LOOP, Bound(">=", 2)),
        _fault(queued, consuming.COLUMNS, Bound(">=", 2, "million")),
        _fault(queued, consuming.CPU, Bound("<=", 0.5, "us")),
        _fault(queued, consuming.TO_LOOP, Bound(">=", 3)),
    ]


def book_figures(books: RowResults, _: Results) -> list[Figure]:
    """Of the part `books`."""
    return [
        _fault(books, engine.TO_PYTHON, Bound(">=", 10)),
        _fault(books, engine.TO_CRYPTOFEED, Bound(">=", 10)),
        _fault(books, engine.RATE, Bound(">=", 0, "thousand")),
        _fault(books, latency.P50, Bound("<=", 0.6, "ms")),
        _fault(books, latency.P99, Bound("<=", 2, "ms")),
        _fault(books, latency.CPU, Bound("<=", 25, "%")),
        _fault(books, latency.DELIVERED, Bound(">=", 0, "%")),
        _fault(books, scan.TOP_OF_20, Bound("<=", 2, "us")),
        _fault(books, scan.TOP_OF_20_TO_ORJSON, Bound(">=", 1)),
        _fault(books, scan.TOP_OF_20_TO_MSGSPEC, Bound(">=", 0)),
        _fault(books, scan.TOP_OF_100, Bound("<=", 2, "us")),
        _fault(books, scan.TOP_OF_100_TO_ORJSON, Bound(">=", 1)),
        _fault(books, scan.TOP_OF_100_TO_MSGSPEC, Bound(">=", 0)),
        _fault(books, service.FAN_OUT, Bound("<=", 0.25)),
        _fault(books, latency.STUCK_P99, Bound("<=", 1.2)),
        _fault(books, latency.STUCK_GROWTH, Bound("<=", 2, "MiB")),
        _fault(books, engine.MEMORY, Bound("<=", 500, "MiB")),
    ]


def emit_figures(emit: RowResults, _: Results) -> list[Figure]:
    """Of the part `emit`."""
    return [
        _fault(emit, clients.FRAMES, Bound(">=", 120, "thousand")),
        _fault(emit, centrifugo.TO_CENTRIFUGO, Bound(">=", 1.5)),
        _fault(emit, clients.VALUES, Bound(">=", 9, "million")),
        _fault(emit, clients.MEMORY, Bound("<=", 16, "KiB")),
        _fault(emit, clients.OWN, Bound(">=", 0, "thousand")),
        _fault(emit, clients.SILENT_GROWTH, Bound("<=", 2, "MiB")),
        _fault(emit, clients.SILENT_P99, Bound("<=", 1.2)),
    ]


def ledger_figures(ledger: RowResults, _: Results) -> list[Figure]:
    """Of the part `ledger`."""
    return [
        _fault(ledger, ledger_rate.RATE, Bound(">=", 150, "thousand")),
        _fault(ledger, ledger_rate.CPU, Bound("<=", 6.7, "us")),
        _fault(ledger, ledger_rate.TO_ONE_BY_ONE, Bound(">=", 20)),
        _fault(ledger, ledger_rate.TO_LOCK, Bound(">=", 3)),
        _fault(ledger, ledger_rate.P99, Bound("<=", 20, "ms")),
        _fault(ledger, ledger_postgresql.POSTGRESQL, Bound(">=", 100, "thousand")),
        _fault(ledger, ledger_rate.MILLION, Bound(">=", 0, "thousand")),
        _fault(ledger, ledger_rate.VALIDATION, Bound(">=", 1000, "thousand")),
    ]


def figures(results: Results) -> list[Figure]:
    bursty = [pace for pace in results.latency if pace.bursty]
    return [
        _ratio(results, f"throughput, {_MAIN_TEXT}, to limit", Bound(">=", 0.9), _MAIN, LB, LIMIT),
        _ratio(results, "... to one-write-per-record", Bound(">=", 8), _MAIN, LB, ONE_WRITE),
        _python_clients(results, "... to the fastest of the Python clients", Bound(">=", 30)),
        _ratio(results, f"CPU per record, {_MAIN_TEXT}, to limit", Bound("<=", 1.25), _MAIN, LB, LIMIT, _cpu),
        _ratio(results, "throughput at 1 record per frame, to limit", Bound(">=", 0.5), _SINGLE, LB, LIMIT),
        _ratio(results, "symbol route to round-robin", Bound(">=", 0.9), _MAIN, LB_SYMBOL, LB),
        _many_pipes(results, "CPU per record, 256 pipes to 4", Bound("<=", 1.5)),
        _ratio(results, "wss in userspace to tls-limit", Bound(">=", 0.85), _TLS, LB_TLS, TLS_LIMIT),
        _ratio(results, f"latency p50, {_BURSTY_TEXT}", Bound("<=", 1), bursty, LB, ONE_WRITE, _p50),
        _ratio(results, f"latency p99, {_BURSTY_TEXT}", Bound("<=", 1), bursty, LB, ONE_WRITE, _p99),
        *_memory(results, Bound("<=", 64, "MiB"), Bound("<=", 1, "MiB")),
        _start(results, "start to first record delivered", Bound("<=", 400, "ms")),
        _instructions(results, "user-mode instructions per record, pump alone, 112-byte trade", Bound("<=", 60, "")),
    ]


def _rate(trial: Trial) -> float:
    return trial.records_per_second


def _cpu(trial: Trial) -> float:
    return trial.cpu_ms_per_million


def _p50(trial: Trial) -> float:
    return trial.latency_ms["p50"]


def _p99(trial: Trial) -> float:
    return trial.latency_ms["p99"]


def _ratio(
    results: Results,
    what: str,
    bound: Bound,
    places: Sequence[Point | Pace],
    one: str,
    other: str,
    metric: Metric = _rate,
) -> Figure:
    """The ratio one / other at the place where its median is worst; not measured unless it was at every place."""
    found = [(ratio, place) for place in places if (ratio := results.ratio(place, one, other, metric))]
    if len(found) < len(places) or not found:
        return Figure(what, str(bound), _absence(results, one, other), None)
    ratio, place = (min if bound.sign == ">=" else max)(found, key=lambda pair: pair[0].median)
    return Figure(what, str(bound), f"{ratio.text(2)} at {place}", bound.holds(ratio.median))


def _fault(faults: RowResults, name: str, bound: Bound) -> Figure:
    found = faults.spread(name)
    if not found:
        reason = f" ({faults.absent[name]})" if name in faults.absent else ""
        return Figure(name, str(bound), f"not measured{reason}", None)
    unit = f" {bound.unit}" if bound.unit != "x" else ""
    return Figure(name, str(bound), f"{found.text(2)}{unit}", bound.holds(found.median))


def _to_peer(results: Results, what: str, bound: Bound) -> Figure:
    """Where the peer is an earlier lb, at the place where the ratio's median is worst."""
    peer = next((name for trials in results.throughput.values() for name in trials if is_peer(name)), None)
    if peer is None:
        return Figure(what, str(bound), "not measured (needs --parts faults,throughput and --peer)", None)
    places = [place for place in results.throughput if results.ratio(place, LB, peer, _rate)]
    return _ratio(results, what, bound, places, LB, peer)


def _row_rate(results: WorkerResults, row: str, bound: Bound) -> Figure:
    """On the feed where its median is worst."""
    found = {feed: rate for feed in results.trials if (rate := results.rate(feed, row))}
    return _worst(f"{row}, records per second and core", bound, results, found, row)


def _row_ratio(results: WorkerResults, row: str, to: str, bound: Bound) -> Figure:
    found = {feed: ratio for feed in results.trials if (ratio := results.ratio(feed, row, to))}
    return _worst(f"{row}, to {to}", bound, results, found, row, to)


def _worst(what: str, bound: Bound, results: WorkerResults, found: dict[str, Spread], *rows: str) -> Figure:
    if len(found) < len(results.trials) or not found:
        reasons = [f"{row}: {results.absent[row]}" for row in rows if row in results.absent]
        return Figure(what, str(bound), f"not measured ({'; '.join(reasons)})" if reasons else "not measured", None)
    feed, worst = min(found.items(), key=lambda pair: pair[1].median)
    return Figure(what, str(bound), f"{worst.text(2)} on {feed}", bound.holds(worst.median))


def _absence(results: Results, *names: str) -> str:
    reasons = [f"{name}: {results.absent[name]}" for name in names if name in results.absent]
    return f"not measured ({'; '.join(reasons)})" if reasons else "not measured"


def _python_clients(results: Results, what: str, bound: Bound) -> Figure:
    def speed(name: str) -> float:
        found = results.spread(_MAIN[0], name, _rate)
        return found.median if found else 0.0

    fastest = max(PYTHON_CLIENTS, key=speed)
    figure = _ratio(results, what, bound, _MAIN, LB, fastest)
    return figure if figure.met is None else replace(figure, measured=f"{figure.measured}, to {fastest}")


def _many_pipes(results: Results, what: str, bound: Bound) -> Figure:
    few, many = (results.spread(Point("160", 20, pipes), LB, _cpu) for pipes in (4, 256))
    if not few or not many:
        return Figure(what, str(bound), _absence(results, LB), None)
    ratio = many.median / few.median
    measured = f"{ratio:.2f} ({many.median:.0f} to {few.median:.0f} ms per million)"
    return Figure(what, str(bound), measured, bound.holds(ratio))


def _memory(results: Results, most: Bound, growth_most: Bound) -> list[Figure]:
    """Flat means: the second half of the run needs no more than the first."""
    what = "resident memory without pipe buffers"
    trial = results.memory
    if not trial or len(trial.resident_bytes) < 2:
        return [Figure(what, str(most), _absence(results, LB), None)]
    half = len(trial.resident_bytes) // 2
    peak = max(trial.resident_bytes) / _MIB
    growth = max(trial.resident_bytes[half:]) / _MIB - max(trial.resident_bytes[:half]) / _MIB
    grown = f"{growth:.2f} MiB over {trial.records / 1e6:.0f} million records"
    return [
        Figure(what, str(most), f"{peak:.1f} MiB", most.holds(peak)),
        Figure("... its growth, second half to first", str(growth_most), grown, growth_most.holds(growth)),
    ]


def _start(results: Results, what: str, bound: Bound) -> Figure:
    if not results.starts:
        return Figure(what, str(bound), _absence(results, LB), None)
    times_ms = spread([trial.first_record_ms for trial in results.starts])
    return Figure(what, str(bound), f"{times_ms.text(0)} ms", bound.holds(times_ms.median))


def _instructions(results: Results, what: str, bound: Bound) -> Figure:
    if not results.pump_instructions:
        return Figure(what, str(bound), _absence(results, PUMP), None)
    counts = [f"{count:.1f} ({vectors})" for vectors, count in reversed(results.pump_instructions.items())]
    *_, widest = results.pump_instructions.values()
    return Figure(what, str(bound), ", ".join(counts), bound.holds(widest))
