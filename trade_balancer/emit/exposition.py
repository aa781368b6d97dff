"""The counters of all processes, as metrics for Prometheus. Law: reads, and never counts itself."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from websockets.http11 import Request, Response

from trade_balancer.emit.counters import BOUNDS_MS, HOPS, Rows
from trade_balancer.emit.site import response
from trade_balancer.errors import MissingExtraError
from trade_balancer.page.families import counters, gauges, histograms, text_of

try:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric
except ImportError:
    raise MissingExtraError("lb-emit's metrics", "prometheus-client", "emit") from None

_COUNTED = (
    ("lb_emit_records", "Records read from the source.", "records"),
    ("lb_emit_records_other", "Of these, of events that are not shown, or no records.", "others"),
    ("lb_emit_ticks", "Ticks.", "ticks"),
    ("lb_emit_frames", "Frames of values written to clients.", "frames"),
    ("lb_emit_frame_bytes", "Bytes of these.", "frame_bytes"),
    ("lb_emit_values", "Values in these.", "values"),
    ("lb_emit_values_skipped", "Values that a client was too slow for: it got newer ones.", "skipped"),
    ("lb_emit_clients_opened", "Clients that have come.", "clients_opened"),
    ("lb_emit_clients_closed_slow", "Clients that took nothing for too long.", "closed_slow"),
    ("lb_emit_source_losses", "Times the source was lost.", "source_losses"),
)
_GAUGED = (
    ("lb_emit_clients", "Clients that are there.", "clients"),
    ("lb_emit_clients_behind", "Of these, those that have not taken their last frame yet.", "clients_behind"),
    ("lb_emit_groups", "Different subscriptions.", "topics_groups"),
    ("lb_emit_source_here", "Whether the source may bring something: 1 or 0.", "source_here"),
    ("lb_emit_draining", "Whether the process sends its clients away: 1 or 0.", "draining"),
)
_REFUSALS = ("full", "address", "origin", "token", "words")


class Exposition:
    def __init__(self, rows: Rows) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(rows))

    def answer(self, request: Request) -> Response:
        accepted = ",".join(request.headers.get_all("Accept"))
        return response(HTTPStatus.OK, *text_of(self._registry, accepted))


class _Collector:
    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def collect(self) -> Iterator[Metric]:
        processes = [([str(number)], counters_) for number, counters_ in enumerate(self._rows.processes)]
        for name, text, key in _COUNTED:
            yield counters(name, text, ["process"], [(number, each[key]) for number, each in processes])
        for name, text, key in _GAUGED:
            yield gauges(name, text, ["process"], [(number, each[key]) for number, each in processes])
        refused = [([*number, why], each[f"refused_{why}"]) for number, each in processes for why in _REFUSALS]
        yield counters("lb_emit_refused", "Clients refused, by reason.", ["process", "reason"], refused)
        bounds_s = [bound_ms / 1e3 for bound_ms in BOUNDS_MS]
        hops = [
            ([*number, name], [*map(int, each.hops[name].samples)], each.hops[name].sum_ms / 1e3)
            for number, each in processes
            for name in HOPS
        ]
        yield histograms("lb_emit_hop_seconds", "How long values take, by hop.", ["process", "hop"], bounds_s, hops)
