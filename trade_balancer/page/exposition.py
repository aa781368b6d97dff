"""What lb tells, as metrics for Prometheus: names, units and help by its conventions; docs/metrics.md explains each.

Law: reads the newest status, never counts itself. What is told of each pipe or worker is left out where there are more
than MOST_SERIES of them; the totals are always there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from trade_balancer.control.view import Status
from trade_balancer.errors import MissingExtraError
from trade_balancer.page.families import Values, by, counter, counters, gauge, gauges, histograms, states, text_of
from trade_balancer.page.news import News

try:
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.metrics_core import InfoMetricFamily, Metric, StateSetMetricFamily
except ImportError:
    raise MissingExtraError("serving metrics", "prometheus-client", "metrics") from None

MOST_SERIES = 256
LB_STATES = ("running", "draining", "finishing", "killing", "ended")
SESSION_STATES = ("waiting", "opening", "talking", "open", "ending", "stopped")
WORKER_STATES = ("empty", "starting", "running", "stuck", "leaving")

KINDS = ("closed", "lost", "silent", "kernel-tls", "protocol", "evicted", "superseded", "refused", "connect")
"""Why sessions end, or do not begin: each is told from the start, or the first of a kind would not show as a rise."""

Row = Mapping[str, Any]


class Exposition:
    def __init__(self, news: News) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(news))
        ProcessCollector(pid=lambda: _pid(news), registry=self._registry)

    def text(self, accepted: str) -> tuple[str, bytes]:
        """The content type and the metrics, in the form that the field Accept prefers."""
        return text_of(self._registry, accepted)


def _pid(news: News) -> int:
    return 0 if news.status is None else int(news.status["lb"]["pid"])  # of pid 0 there is nothing to tell


class _Collector:
    def __init__(self, news: News) -> None:
        self._news = news

    def collect(self) -> Iterator[Metric]:
        news = self._news
        yield gauge("lb_up", "Whether lb has told its status within the last seconds: 1 or 0.", float(news.is_fresh))
        if news.age_s is not None:
            yield gauge("lb_status_age_seconds", "Since when lb has not told its status.", news.age_s)
        if (status := news.status) is not None:
            for part in (_of_lb, _of_session, _of_records, _of_lag, _of_pipes, _of_workers, _of_readers):
                yield from part(status)


def _of_lb(status: Status) -> Iterator[Metric]:
    lb = status["lb"]
    build = InfoMetricFamily("lb_build", "What runs.")
    build.add_metric([], {"version": lb["version"], "python": lb["python"], "on_full": lb["on_full"]})
    yield build
    yield states("lb_state", "How far lb is with its life.", LB_STATES, lb["state"])
    yield gauge("lb_uptime_seconds", "Since when lb runs.", lb["uptime_s"])


def _of_session(status: Status) -> Iterator[Metric]:
    session = status["session"]
    info = InfoMetricFamily("lb_session", "The newest session.")
    info.add_metric([], {"url": session["url"], "tls": session["tls"]})
    yield info
    yield states("lb_session_state", "How far lb is with its session.", SESSION_STATES, session["state"])
    is_open = session["state"] == "open"
    yield gauge("lb_session_open", "Whether records may come: 1 or 0.", float(is_open))
    is_in_kernel = is_open and session["tls"].startswith("kernel")
    yield gauge("lb_session_kernel_tls", "Whether the kernel has the session's TLS: 1 or 0.", float(is_in_kernel))
    if (age_s := status["input_age_s"]) is not None:
        yield gauge("lb_session_input_age_seconds", "Since when no byte has come from the feed.", age_s)
    yield gauge("lb_session_socket_bytes", "What the session's socket holds unread.", session["socket_bytes"])
    yield counter("lb_sessions", "Sessions that were open.", session["sessions_total"])
    yield counter("lb_takeovers", "Of these, begun beside another, without a gap.", session["takeovers_total"])
    yield counters(
        "lb_session_ends",
        "Sessions that were open and ended, by reason.",
        ["reason"],
        by(_kinds(session["ends_total"])),
    )
    yield counters(
        "lb_session_failures", "Attempts that came to no session, by reason.", ["reason"],
        by(_kinds(session["failures_total"])),
    )  # fmt: skip
    yield counter("lb_gaps", "Times between two sessions' records.", session["gaps_total"])
    yield counter("lb_gap_seconds", "All of them together.", session["gap_s"])
    topics = {"wanted": len(session["topics"]), "unacknowledged": len(session["unacknowledged"])}
    topics |= {"rejected": len(session["rejected"]), "barred": len(session.get("barred", ()))}
    yield gauges("lb_topics", "Topics, by what they are.", ["state"], by(topics))


def _of_records(status: Status) -> Iterator[Metric]:
    counted, balance, pipes = status["counters"], status["balance"], status["pipes"]
    damaged = sum(pipe["damaged_total"] for pipe in pipes)
    yield counter("lb_records_received", "Records dealt to pipes.", balance["received"])
    yield counter("lb_records_recovered", "Records that an earlier lb had left on disk.", balance["recovered"])
    written = sum(map(_written, pipes))
    yield counter("lb_records_written", "Records written to a pipe whole, redelivered ones each time.", written)
    yield counters(
        "lb_records_dropped", "Records that no worker gets, by reason.", ["reason"],
        by({"full": balance["dropped"] - damaged, "damaged": damaged}),
    )  # fmt: skip
    yield gauge("lb_records_waiting", "Records that wait in lb for a full pipe.", balance["waiting"])
    yield gauge("lb_records_spilled", "Records that wait on disk.", balance["spilled"])
    yield gauge("lb_balance_exact", "Whether every record is accounted for: 1 or 0.", float(balance["exact"]))
    yield counter("lb_records_unwanted", "Records that no pipe wants, for readers alone.", counted["unwanted_total"])
    exact = counted["records_exact_total"]
    yield counters(
        "lb_records_scanned", "Records, by how they were cut.", ["path"],
        by({"fast": counted["records_total"] - exact, "exact": exact}),
    )  # fmt: skip
    for name, text, key in _COUNTED:
        yield counter(name, text, counted[key])
    yield gauge("lb_reading_stopped", "Whether a full pipe stops the reading: 1 or 0.", counted["stopped"])
    yield gauge("lb_spill_disk_bytes", "Size of the files of spilled records.", counted["spill_disk_bytes"])
    stopped_s = sum(pipe["stopped_ns_total"] for pipe in pipes) / 1e9
    yield counter("lb_reading_stopped_seconds", "For how long full pipes have stopped the reading.", stopped_s)


_COUNTED = (
    ("lb_received_bytes", "Bytes from the feed, websocket framing included.", "received_bytes_total"),
    ("lb_record_bytes", "Bytes of the records dealt, without lengths.", "record_bytes_total"),
    ("lb_reads", "Reads that brought bytes.", "reads_total"),
    ("lb_frames", "Websocket frames.", "frames_total"),
    ("lb_messages", "Websocket messages.", "messages_total"),
    ("lb_notices", "The feed's own words among the records.", "notices_total"),
    ("lb_messages_malformed", "Messages with a fault.", "malformed_total"),
    ("lb_elements_skipped", "Elements of messages that are no objects.", "skipped_elements_total"),
    ("lb_skipped_bytes", "Bytes of malformed messages that were passed over.", "skipped_bytes_total"),
    ("lb_cut_off_bytes", "Bytes of records that a session's end cut off.", "cut_off_bytes_total"),
    ("lb_reading_stops", "Times a full pipe stopped the reading.", "full_total"),
    ("lb_memory_pauses", "Times the system had no memory for a write or a poll.", "pauses_total"),
    ("lb_spill_refusals", "Times the disk refused to take records, or to give them back.", "spill_refusals_total"),
)


def _of_lag(status: Status) -> Iterator[Metric]:
    lag = status["lag"]
    yield histograms(
        "lb_feed_lag_seconds", "How old records are when they come, of samples.", [],
        [bound_ms / 1e3 for bound_ms in lag["bounds_ms"]], [([], lag["samples"], lag["sum_ms"] / 1e3)],
    )  # fmt: skip


def _of_pipes(status: Status) -> Iterator[Metric]:
    pipes = status["pipes"]
    yield gauge("lb_pipes", "Pipes that records are dealt to.", len(pipes))
    held = [pipe["held_bytes"] / max(pipe["capacity_bytes"], 1) for pipe in pipes]
    yield gauge("lb_pipe_fill_ratio_max", "Of the fullest pipe: what it holds, to what it can hold.", max([0, *held]))
    yield gauge("lb_pipe_full_in_seconds_min", "When the first pipe is full; +Inf: none fills.", _soonest_s(pipes))
    if len(pipes) > MOST_SERIES:
        return
    for family, name, text, key, unit in _OF_A_PIPE:
        yield family(name, text, ["pipe"], ((_named(pipe, "pipe"), pipe[key] * unit) for pipe in pipes))
    yield counters(
        "lb_pipe_records_written", "Written to the pipe whole, redelivered ones each time.", ["pipe"],
        ((_named(pipe, "pipe"), _written(pipe)) for pipe in pipes),
    )  # fmt: skip
    yield gauges(
        "lb_pipe_full_in_seconds", "When the pipe is full; +Inf: it does not fill.", ["pipe"],
        ((_named(pipe, "pipe"), _soonest_s([pipe])) for pipe in pipes),
    )  # fmt: skip
    dropped = (
        ([str(pipe["pipe"]), reason], total)
        for pipe in pipes
        for reason, total in (
            ("full", pipe["dropped_total"] - pipe["damaged_total"]), ("damaged", pipe["damaged_total"]),
        )
    )  # fmt: skip
    yield counters("lb_pipe_records_dropped", "Of the pipe, by reason.", ["pipe", "reason"], dropped)


Family = Callable[[str, str, Sequence[str], Values], Metric]
_OF_A_PIPE: Sequence[tuple[Family, str, str, str, float]] = (
    (counters, "lb_pipe_records", "Records dealt to the pipe.", "records_total", 1),
    (counters, "lb_pipe_written_bytes", "Bytes written to it, lengths included.", "written_bytes_total", 1),
    (gauges, "lb_pipe_backlog_bytes", "What it holds and its worker has not read.", "backlog_bytes", 1),
    (gauges, "lb_pipe_waiting_records", "Records that wait for it in lb.", "waiting_records", 1),
    (gauges, "lb_pipe_waiting_bytes", "Bytes that wait for it in lb.", "waiting_bytes", 1),
    (gauges, "lb_pipe_held_bytes", "What it and lb hold for its worker.", "held_bytes", 1),
    (gauges, "lb_pipe_capacity_bytes", "What they can hold.", "capacity_bytes", 1),
    (counters, "lb_pipe_stopped_seconds", "For how long it has stopped the reading.", "stopped_ns_total", 1e-9),
    (counters, "lb_pipe_records_acknowledged", "With --redeliver: finished by its worker.", "acknowledged_total", 1),
    (gauges, "lb_pipe_unacknowledged_records", "... and not yet.", "unacknowledged_records", 1),
    (gauges, "lb_pipe_unacknowledged_bytes", "Of these, lengths included.", "unacknowledged_bytes", 1),
    (counters, "lb_pipe_records_redelivered", "Written once more, for a successor.", "redelivered_total", 1),
    (counters, "lb_pipe_records_recovered", "Left on disk by an earlier lb, for this pipe.", "recovered_total", 1),
    (
        counters,
        "lb_pipe_dropped_bytes",
        "Of the records that were dropped out of its backlog.",
        "dropped_bytes_total",
        1,
    ),
    (counters, "lb_pipe_records_spilled", "Records that went to the disk.", "spilled_total", 1),
    (gauges, "lb_pipe_spilled_records", "Records on disk, not written yet.", "spilled_records", 1),
    (gauges, "lb_pipe_spilled_bytes", "Bytes of these.", "spilled_bytes", 1),
)


def _written(pipe: Row) -> int:
    """A counter must not fall: what is to be written once more is no more in written_total."""
    return int(pipe["written_total"] + pipe["redelivered_total"])


def _soonest_s(pipes: Sequence[Row]) -> float:
    return min((pipe["full_in_s"] for pipe in pipes if pipe["full_in_s"] is not None), default=math.inf)


def _of_workers(status: Status) -> Iterator[Metric]:
    slots = status["slots"]
    yield gauge("lb_workers", "Slots for workers.", len(slots))
    running = sum(slot["state"] == "running" and not slot["paused"] for slot in slots)
    yield gauge("lb_workers_running", "Of them, those whose worker runs and reads.", running)
    yield gauge("lb_workers_stuck", "Workers that do not read what their pipes hold.", status["stuck"])
    yield counter("lb_workers_stuck_episodes", "Times that one did not.", status["stuck_total"])
    yield counter("lb_worker_restarts", "Workers that followed another in their slot.", status["restarts_total"])
    ends: dict[str, int] = {}
    for slot in slots:
        for reason, total in slot["ends_total"].items():
            ends[reason] = ends.get(reason, 0) + total
    yield counters("lb_worker_ends", "Workers that ended, by signal or exit code.", ["reason"], by(ends))
    if len(slots) > MOST_SERIES:
        return
    yield gauges(
        "lb_worker_running", "Whether the slot's worker runs and reads: 1 or 0.", ["slot"],
        ((_named(slot, "slot"), float(slot["state"] == "running" and not slot["paused"])) for slot in slots),
    )  # fmt: skip
    state = StateSetMetricFamily("lb_worker_state", "How far the slot is with its worker.", labels=["slot"])
    for slot in slots:
        state.add_metric(_named(slot, "slot"), {each: slot["state"] == each for each in WORKER_STATES})
    yield state
    yield counters(
        "lb_worker_starts", "Workers of the slot that ran their program.", ["slot"],
        ((_named(slot, "slot"), slot["starts_total"]) for slot in slots),
    )  # fmt: skip


def _of_readers(status: Status) -> Iterator[Metric]:
    readers = status["readers"]
    yield gauge("lb_readers", "Programs that have joined.", len(readers))
    for name, text, key in (
        ("lb_reader_records_offered", "Records of the reader's topics.", "offered_total"),
        ("lb_reader_records_delivered", "Of these, written to its pipe.", "delivered_total"),
        ("lb_reader_records_dropped", "Of these, dropped: it was too slow.", "dropped_total"),
    ):
        yield counters(name, text, ["reader"], ((_named(reader, "reader"), reader[key]) for reader in readers))
    yield gauges(
        "lb_reader_waiting_records", "Of these, waiting in lb.", ["reader"],
        ((_named(reader, "reader"), reader["waiting_records"]) for reader in readers),
    )  # fmt: skip


def _kinds(totals: Mapping[str, float]) -> Mapping[str, float]:
    return dict.fromkeys(KINDS, 0.0) | dict(totals)


def _named(row: Row, name: str) -> list[str]:
    return [str(row[name])]
