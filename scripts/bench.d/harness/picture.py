"""The results as two pictures, each of which says one thing, in its title: throughput.png and latency.png.

Law: what is drawn is in the summary, and a title's figures are computed from it. lb has the only colour.
"""

from pathlib import Path
from typing import Any

from harness.candidates import LB, LIMIT, ONE_WRITE, PYTHON_CLIENTS
from harness.summary import Summary

_INK, _GREY, _LB_COLOUR = "0.2", "0.55", "#0a7d4f"
_STYLE = {"font.size": 11, "axes.spines.top": False, "axes.spines.right": False}
_SIZE_INCHES = (9, 4.2)

_IN_WORDS = {LIMIT: "the kernel's limit", LB: "lb", ONE_WRITE: "C, one write per record"}
_IN_WORDS |= {name: f"Python, {name.removeprefix('py-')}" for name in PYTHON_CLIENTS}


def draw(folder: Path, summary: Summary) -> list[str]:
    """Writes the pictures and returns their names. ImportError without matplotlib."""
    import matplotlib as mpl  # only here: an optional package, needed for nothing else

    mpl.use("Agg")
    mpl.rcParams.update(_STYLE)
    from matplotlib import pyplot as plt

    written = []
    for name, draw_panel in {"throughput": _throughput, "latency": _latency}.items():
        figure, axis = plt.subplots(figsize=_SIZE_INCHES, layout="constrained")
        if title := draw_panel(axis, summary):
            figure.suptitle(title, x=0.01, ha="left", fontsize=14, fontweight="bold", color=_INK)
            figure.supxlabel(summary["caption"], x=0.01, ha="left", fontsize=8, color=_GREY)
            written.append(f"{name}.png")
            figure.savefig(folder / written[-1], dpi=150)
        plt.close(figure)
    return written


def _throughput(axis: Any, summary: Summary) -> str:
    """A bar per candidate, at the centre's pipes. Returns the title, empty where nothing was measured."""
    rates = {
        row["candidate"]: row["million_records_per_s"]["median"]
        for row in summary["throughput"]
        if row["pipes"] == summary["pipes"] and _is_shown(row["candidate"])
    }
    names = sorted(rates, key=lambda name: rates[name])
    colours = [_colour(name) for name in names]
    bars = axis.barh([_words(name) for name in names], [rates[name] for name in names], color=colours, height=0.62)
    axis.bar_label(bars, [_number(rates[name]) for name in names], padding=4, color=_INK)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.margins(x=0.08)
    axis.set_xlabel(f"million records per second, {summary['pipes']} pipes; {summary['feed']}", color=_INK)
    python = [rates[name] for name in PYTHON_CLIENTS if name in rates]
    if LB in rates and python:
        return f"lb deals {rates[LB] / max(python):.0f} times as many records as the fastest Python client"
    return "Records per second" if rates else ""


def _latency(axis: Any, summary: Summary) -> str:
    """A curve of p99 per candidate over the rate, of bursty arrival. Returns the title, empty where nothing was
    measured.
    """
    curves: dict[str, dict[int, float]] = {}
    for row in sorted(summary["latency"], key=lambda row: row["records_per_s"]):
        if row["arrival"] == "bursty" and _is_shown(row["candidate"]):
            curves.setdefault(row["candidate"], {})[row["records_per_s"]] = row["p99_ms"]
    for name, curve in curves.items():
        colour, width = _colour(name), 2.5 if name == LB else 1.5
        axis.plot(*zip(*curve.items(), strict=True), marker="o", markersize=4, color=colour, linewidth=width)
        end = list(curve.items())[-1]
        words = f"{_words(name)}: {_number(end[1])} ms"
        axis.annotate(words, end, xytext=(8, 0), textcoords="offset points", va="center", color=colour)
    axis.set_xscale("log")
    axis.set_yscale("log")
    rates = sorted({rate for curve in curves.values() for rate in curve})
    axis.set_xticks(rates, [f"{rate:,}" for rate in rates])
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.minorticks_off()
    axis.grid(axis="y", alpha=0.25)
    axis.set_xlabel("records per second, each 100 ms' within its first 10 ms", color=_INK)
    axis.set_ylabel("ms until 99 % are with the worker", color=_INK)
    at_the_highest = {name: curve[rates[-1]] for name, curve in curves.items() if rates[-1] in curve}
    python = [at_the_highest[name] for name in PYTHON_CLIENTS if name in at_the_highest]
    if LB in at_the_highest and python:
        lb_ms, python_ms = _number(at_the_highest[LB]), _number(min(python))
        return f"In bursts lb delivers 99 % of the records within {lb_ms} ms, Python within {python_ms} ms"
    return "From the feed to the worker, in bursts" if curves else ""


def _is_shown(name: str) -> bool:
    """Not the other ways of starting lb: the tables have them."""
    return name in _IN_WORDS or name.startswith("peer:")


def _words(name: str) -> str:
    return _IN_WORDS.get(name, name.removeprefix("peer:"))


def _colour(name: str) -> str:
    return _LB_COLOUR if name == LB else _GREY


def _number(value: float) -> str:
    """Three digits, or as many as stand before the point."""
    digits = 0 if value >= 20 else 1 if value >= 1 else 2
    return f"{value:.{digits}f}"
