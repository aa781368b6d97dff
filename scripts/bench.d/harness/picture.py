"""The results as a picture: throughput as bars over the number of pipes, and the latency curves. PNG and SVG."""

from pathlib import Path
from typing import Any

from harness.candidates import LB, LB_CPU, LB_SYMBOL, LIMIT, ONE_WRITE
from harness.plan import Pace, Plan, Point
from harness.results import Results, Spread

_COLOURS = {LIMIT: "0.6", LB: "tab:green", LB_SYMBOL: "tab:olive", LB_CPU: "limegreen", ONE_WRITE: "tab:orange"}
_OTHER_COLOURS = ("tab:blue", "tab:purple", "tab:red", "tab:brown", "tab:pink", "tab:cyan")
_PERCENTILES = {"p50": "-", "p99": "--"}


def draw(folder: Path, plan: Plan, results: Results, caption: str) -> None:
    """Writes bench.png and bench.svg. ImportError without matplotlib."""
    import matplotlib as mpl  # only here: an optional package, needed for nothing else

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplot_mosaic("BB;SU", figsize=(12, 10), layout="constrained")
    colours = _colours(results)
    _bars(axes["B"], plan, results, colours)
    for axis, bursty in ((axes["S"], False), (axes["U"], True)):
        _curves(axis, bursty, results, colours)
    figure.suptitle(caption, fontsize=10)
    for name in ("bench.png", "bench.svg"):
        figure.savefig(folder / name, dpi=110)
    plt.close(figure)


def _colours(results: Results) -> dict[str, str]:
    """One colour per candidate in all panels."""
    places = [*results.throughput.values(), *results.latency.values()]
    others = dict.fromkeys(name for names in places for name in names if name not in _COLOURS)
    return _COLOURS | {name: _OTHER_COLOURS[i % len(_OTHER_COLOURS)] for i, name in enumerate(others)}


def _bars(axis: Any, plan: Plan, results: Results, colours: dict[str, str]) -> None:
    """Along the pipes, at the centre's layout and batch; a bar says its number: the short ones can't be seen."""
    kind = (plan.centre.layout, plan.centre.batch, False)
    points = [point for point in results.throughput if (point.layout, point.batch, point.tls) == kind]
    points.sort(key=lambda point: point.pipes)
    names = list(dict.fromkeys(name for point in points for name in results.throughput[point]))
    width = 0.85 / max(1, len(names))
    for number, name in enumerate(names):
        spreads = [(at, _rate(results, point, name)) for at, point in enumerate(points)]
        found = [(at, rate) for at, rate in spreads if rate]
        places = [at + (number + 0.5) * width for at, _ in found]
        rates = [rate.median for _, rate in found]
        errors = [[rate.median - rate.low for _, rate in found], [rate.high - rate.median for _, rate in found]]
        style = {"color": colours[name], "error_kw": {"elinewidth": 0.7, "capsize": 1.5}}
        bars = axis.bar(places, rates, width * 0.9, yerr=errors, label=name, **style)
        labels = [f"{rate:.1f}" if rate >= 1 else f"{rate:.2f}" for rate in rates]
        axis.bar_label(bars, labels, fontsize=7, rotation=90, padding=2)
    axis.margins(y=0.12)
    axis.set_xticks([at + 0.425 for at in range(len(points))], [f"{point.pipes} pipes" for point in points])
    axis.set_ylabel("million records per second, median, min-max")
    axis.set_title(f"throughput, {plan.centre.layout}-byte records, {plan.centre.batch} per frame, ws")
    axis.legend(fontsize=8, ncols=len(names), loc="upper center", bbox_to_anchor=(0.5, -0.06))


def _rate(results: Results, point: Point, name: str) -> Spread | None:
    return results.spread(point, name, lambda trial: trial.records_per_second / 1e6)


def _curves(axis: Any, bursty: bool, results: Results, colours: dict[str, str]) -> None:
    paces = sorted((pace for pace in results.latency if pace.bursty is bursty), key=lambda pace: pace.rate)
    for name in dict.fromkeys(name for pace in paces for name in results.latency[pace]):
        for percentile, style in _PERCENTILES.items():
            rates, times_ms = _curve(paces, name, percentile, results)
            axis.plot(rates, times_ms, style, marker=".", label=f"{name} {percentile}", color=colours[name])
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("records per second")
    axis.set_ylabel("receive to worker, ms, median of the rounds")
    axis.set_title(f"latency, {'bursty' if bursty else 'steady'} arrival")
    axis.grid(alpha=0.3)
    if paces:
        axis.legend(fontsize=8)


def _curve(paces: list[Pace], name: str, percentile: str, results: Results) -> tuple[list[int], list[float]]:
    spreads = {pace.rate: results.spread(pace, name, lambda trial: trial.latency_ms[percentile]) for pace in paces}
    found = {rate: spread.median for rate, spread in spreads.items() if spread}
    return list(found), list(found.values())
