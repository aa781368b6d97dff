"""What lb-books tells Prometheus (extra `metrics`): names, units and help by its conventions; docs/metrics.md explains
each.

Law: reads what its parts count, when it is asked; never counts itself. Nothing is told of each symbol or client.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trade_balancer.books.books import Why
from trade_balancer.books.desk import Desk
from trade_balancer.books.latency import BOUNDS_S, Latency
from trade_balancer.books.service.clients import Clients
from trade_balancer.books.summary import State
from trade_balancer.errors import MissingExtraError
from trade_balancer.page.families import Values, counter, counters, gauge, gauges, histograms, text_of

try:
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.metrics_core import Metric
except ImportError:
    raise MissingExtraError("serving metrics", "prometheus-client", "metrics") from None

_STATES = (State.LIVE, State.STALE, State.SYNCING, State.DOWN)


class Exposition:
    def __init__(self, desk: Desk, clients: Clients) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(desk, clients))
        ProcessCollector(registry=self._registry)

    def text(self, accepted: str) -> tuple[str, bytes]:
        """The content type and the metrics, in the form that the field Accept prefers."""
        return text_of(self._registry, accepted)


class _Collector:
    def __init__(self, desk: Desk, clients: Clients) -> None:
        self._desk = desk
        self._clients = clients

    def collect(self) -> Iterator[Metric]:
        yield from _of_sessions(self._desk)
        yield from _of_books(self._desk)
        yield from _of_rest(self._desk)
        yield from _of_summaries(self._desk, self._clients)
        yield from _of_clients(self._clients)


def _of_sessions(desk: Desk) -> Iterator[Metric]:
    keeper, lbs = desk.keeper, desk.lbs
    messages = {name: desk.books.messages_total(keeper.number_of(name)) for name in lbs}
    repeats = {name: desk.books.repeats_total(keeper.number_of(name)) for name in lbs}
    yield _gauges("lb_books_session_open", "Whether the venue's lb has a session: 1 or 0.", _each(lbs, "is_open"))
    yield _counters("lb_books_sessions", "Sessions with the venue that were open.", _each(lbs, "sessions_total"))
    yield _counters("lb_books_lb_starts", "Times that an lb of ours was started.", _each(lbs, "starts_total"))
    yield _counters("lb_books_drops", "Times that lb-books was too slow for its lb.", _each(lbs, "drops_total"))
    yield _counters("lb_books_messages", "Messages of the venue, of books or not.", messages)
    yield _counters("lb_books_repeats", "Of these, passed over: the venue had sent them before.", repeats)


def _of_books(desk: Desk) -> Iterator[Metric]:
    keeper, books = desk.keeper, desk.books
    known = {name: keeper.known(name) for name in desk.lbs}
    yield _gauges("lb_books_symbols_known", "Symbols that the venue has.", known)
    yield gauge("lb_books_symbols_watched", "Symbols whose books are kept.", keeper.watched)
    states = (
        ([venue, state.name.lower()], counts[state]) for venue, counts in keeper.counts().items() for state in _STATES
    )
    yield gauges("lb_books_books", "The venue's books, by what they are.", ["venue", "state"], states)
    venues = dict.fromkeys([*desk.lbs, *(venue for venue, _ in keeper.faults_total)])
    faults = (([venue, why.name.lower()], keeper.faults_total.get((venue, why), 0)) for venue in venues for why in Why)
    yield counters("lb_books_faults", "Times a book of the venue was out, by reason.", ["venue", "reason"], faults)
    yield gauge("lb_books_memory_bytes", "What all books take.", books.memory_bytes)


def _of_rest(desk: Desk) -> Iterator[Metric]:
    rests = desk.rests
    yield _counters("lb_books_rest_requests", "Requests to the venue's REST.", _each(rests, "requests_total"))
    yield _counters("lb_books_rest_failures", "Of these, without a good answer.", _each(rests, "failures_total"))
    yield _counters("lb_books_rest_weight", "What they cost of the venue's budget.", _each(rests, "weight_total"))


def _of_summaries(desk: Desk, clients: Clients) -> Iterator[Metric]:
    merger = desk.merger
    yield counter("lb_books_summaries_merged", "Merged books that differed from the last one.", merger.merged_total)
    yield counter("lb_books_summaries_sent", "Summaries written to clients.", clients.sent_total)
    skipped = "Summaries that a client did not take before the next of the symbol, of all clients."
    yield counter("lb_books_summaries_skipped", skipped, desk.market.skipped_total)
    since_exchange = dict.fromkeys(desk.lbs, Latency()) | merger.since_exchange
    yield histograms(
        "lb_books_exchange_latency_seconds", "From a message's time at the venue to its summary, of samples.",
        ["venue"], BOUNDS_S, (([name], took.samples, took.sum_s) for name, took in since_exchange.items()),
    )  # fmt: skip
    took = merger.since_receipt
    yield histograms(
        "lb_books_latency_seconds", "From a message's receipt to its summary, of samples.", [], BOUNDS_S,
        [([], took.samples, took.sum_s)],
    )  # fmt: skip


def _of_clients(clients: Clients) -> Iterator[Metric]:
    yield gauge("lb_books_streams", "Streams of gRPC clients that are open.", len(clients))
    yield counter("lb_books_streams_opened", "Streams that were opened.", clients.opened_total)
    yield counter("lb_books_streams_refused", "Streams for which there was no room.", clients.refused_total)
    yield counter("lb_books_streams_blocked", "Streams ended because nothing was read.", clients.blocked_total)


def _each(parts: Mapping[str, Any], name: str) -> Mapping[str, float]:
    """An attribute of each venue's part."""
    return {venue: float(getattr(part, name)) for venue, part in parts.items()}


def _gauges(name: str, text: str, by_venue: Mapping[str, float]) -> Metric:
    return gauges(name, text, ["venue"], _labelled(by_venue))


def _counters(name: str, text: str, by_venue: Mapping[str, float]) -> Metric:
    return counters(name, text, ["venue"], _labelled(by_venue))


def _labelled(by_venue: Mapping[str, float]) -> Values:
    return (([venue], value) for venue, value in by_venue.items())
