"""Families of metrics in one line each (extra `metrics`), and their text. Law: knows nothing of what is counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from trade_balancer.errors import MissingExtraError

try:
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.metrics_core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        Metric,
        StateSetMetricFamily,
    )
except ImportError:
    raise MissingExtraError("serving metrics", "prometheus-client", "metrics") from None

Values = Iterable[tuple[Sequence[str], float]]
"""Each with the values of its labels."""


def text_of(registry: CollectorRegistry, accepted: str) -> tuple[str, bytes]:
    """The content type and the metrics, in the form that the field Accept prefers."""
    encode, content_type = choose_encoder(accepted)
    return content_type, encode(registry)


def counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def counters(name: str, text: str, labels: Sequence[str], values: Values) -> Metric:
    return _labelled(CounterMetricFamily, name, text, labels, values)


def gauges(name: str, text: str, labels: Sequence[str], values: Values) -> Metric:
    return _labelled(GaugeMetricFamily, name, text, labels, values)


def _labelled(
    family: type[CounterMetricFamily] | type[GaugeMetricFamily],
    name: str, text: str, labels: Sequence[str], values: Values,
) -> Metric:  # fmt: skip
    metric = family(name, text, labels=labels)
    for of_labels, value in values:
        metric.add_metric(of_labels, value)
    return metric


def histograms(
    name: str, text: str, labels: Sequence[str], bounds_s: Sequence[float],
    values: Iterable[tuple[Sequence[str], Iterable[int], float]],
) -> Metric:  # fmt: skip
    """Each with its labels, samples (how many each bound was not exceeded by since the bound before, and how many
    exceeded the last), and their sum in s."""
    metric = HistogramMetricFamily(name, text, labels=labels)
    for of_labels, samples, sum_s in values:
        below = accumulate(samples)
        buckets = [*zip([*map(str, bounds_s), "+Inf"], below, strict=True)]
        metric.add_metric(of_labels, buckets, sum_s)
    return metric


def states(name: str, text: str, every: Sequence[str], current: str) -> Metric:
    return StateSetMetricFamily(name, text, {state: state == current for state in every})


def by(values: Mapping[str, float]) -> Values:
    return (([name], value) for name, value in values.items())
