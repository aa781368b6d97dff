"""What lb-top shows, drawn by rich (extra `control`).

Law: text of a feed's or a worker's is in it: none of it reaches a terminal but what can be printed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from trade_balancer.control.picture import printable
from trade_balancer.control.view import View, in_words
from trade_balancer.errors import MissingExtraError

try:
    from rich.console import Console, Group, RenderableType
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text
except ImportError:
    raise MissingExtraError("lb-top", "rich", "control") from None

MOST_ROWS = 16
"""Of pipes and workers: a screen is no longer."""
MOST_LINES = 6
_BAR = 28
_GRAPH = 60
_STEPS = " ▁▂▃▄▅▆▇█"
_LEAST_WIDTHS = {"slot": 4, "state": 8, "pid": 7, "runs for": 8, "starts": 6, "pipes": 6}
"""Of columns that stand beside a long text."""
_STYLES = {"error": "bold red", "warning": "yellow", "good": "green"}
_STATES = {"running": "green", "starting": "yellow", "paused": "yellow"}

Picture = Mapping[str, Any]


class Screen:
    """The terminal; where there is none, plain text."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)

    def print(self, view: View) -> None:
        """Once."""
        self._console.print(drawn(view))

    def show(self, views: Iterator[View]) -> None:
        """Each in the place of the one before, all over the terminal."""
        with Live(console=self._console, screen=True, auto_refresh=False) as live:
            for view in views:
                live.update(drawn(view), refresh=True)


def drawn(view: View) -> RenderableType:
    """The picture of this moment."""
    picture = view.picture
    return Group(
        _head(picture),
        *_alarms(picture["alarms"]),
        _figures(picture),
        _graphs(view),
        _pipes(picture),
        _workers(picture),
        *_readers(picture["readers"]),
        *_hour(picture),
        *_log(picture["lines"]),
    )


def _head(picture: Picture) -> Text:
    lb, session = picture["lb"], picture["session"]
    is_good = lb["state"] == "running" and session["state"] == "open"
    state = f"session {session['state']}" if lb["state"] == "running" else lb["state"]
    return Text.assemble(
        ("lb ", "bold"), f"{printable(session['url'])}  ", (f"● {state}", _STYLES["good" if is_good else "error"]),
        f"  TLS {printable(session['tls'])}  up {_span(lb['uptime_s'])}  sessions {session['sessions_total']}",
        no_wrap=True, overflow="ellipsis",
    )  # fmt: skip


def _alarms(alarms: Sequence[Mapping[str, str]]) -> Iterator[Text]:
    if not alarms:
        yield Text("All is well", _STYLES["good"])
    for alarm in alarms[:MOST_LINES]:
        yield Text(f"! {printable(alarm['text'])}", _STYLES[alarm["level"]])


def _figures(picture: Picture) -> Text:
    balance = picture["balance"]
    counts = "  ".join(
        f"{name} {balance[name]:,}" for name in ("received", "recovered", "written", "waiting", "spilled", "dropped")
    )
    exact = Text("  exact", _STYLES["good"]) if balance["exact"] else Text("  NOT EXACT", _STYLES["error"])
    return Text(counts) + exact


def _graphs(view: View) -> RenderableType:
    picture, points = view.picture, list(view.points)[-_GRAPH:]
    table = Table.grid(padding=(0, 2))
    for name, member, value, unit in (
        ("rate", 1, picture["rate"], "records/s"),
        ("lag p50", 2, picture["lag_p50_ms"], "ms"),
        ("lag p99", 3, picture["lag_p99_ms"], "ms"),
    ):
        graph = Text(_graph([point[member] for point in points]), "cyan")
        table.add_row(name, Text(_number(value), "bold", justify="right"), unit, graph)
    return table


def _graph(values: Sequence[float | None]) -> str:
    """A column for each, its height to that of the highest."""
    most = max((value for value in values if value is not None), default=0.0)
    if most <= 0:
        return " " * len(values)
    return "".join(_STEPS[round(max(value or 0.0, 0.0) / most * (len(_STEPS) - 1))] for value in values)


def _pipes(picture: Picture) -> RenderableType:
    pipes = sorted(picture["pipes"], key=lambda pipe: -pipe["share"])[:MOST_ROWS]
    table = _table("pipe", "", "full", "held", "written", "waiting", "spilled", "dropped", "forecast")
    for pipe in sorted(pipes, key=lambda pipe: int(pipe["pipe"])):
        left_s = pipe["full_in_s"]
        is_bad = pipe["is_dropping"] or pipe["is_stopping"] or (left_s is not None and left_s < 10)
        forecast = "" if left_s is None else f"full {in_words(left_s)}"
        word = "drops" if pipe["is_dropping"] else "full: stops the reading" if pipe["is_stopping"] else forecast
        style = _STYLES["error" if is_bad else "warning" if pipe["share"] >= 0.5 else "good"]
        table.add_row(
            str(pipe["pipe"]), Text(_bar(pipe["share"]), style), f"{pipe['share']:.0%}", _bytes(pipe["held_bytes"]),
            *(f"{pipe[name]:,}" for name in ("written", "waiting", "spilled", "dropped")),
            Text(word, style),
        )  # fmt: skip
    return _with_rest(table, len(pipes), picture["pipes_total"], "pipes")


def _bar(share: float) -> str:
    return "█" * round(share * _BAR) + "░" * (_BAR - round(share * _BAR))


def _workers(picture: Picture) -> RenderableType:
    workers = sorted(picture["workers"], key=lambda worker: worker["state"] == "running")[:MOST_ROWS]
    table = _table("slot", "state", "pid", "runs for", "starts", "pipes", "says", "how the last one ended")
    for worker in sorted(workers, key=lambda worker: int(worker["slot"])):
        table.add_row(
            str(worker["slot"]), Text(worker["state"], _STATES.get(worker["state"], _STYLES["error"])),
            str(worker["pid"] or ""), _span(worker["ran_s"]), str(worker["starts"]), worker["pipes"],
            Text(printable(worker["says"])), Text(printable(worker["last_end"])),
        )  # fmt: skip
    return _with_rest(table, len(workers), picture["workers_total"], "workers")


def _readers(readers: Sequence[Picture]) -> Iterator[RenderableType]:
    if readers:
        table = _table("reader", "topics", "delivered", "waiting", "dropped")
        for reader in readers[:MOST_ROWS]:
            counts = (f"{reader[name]:,}" for name in ("delivered", "waiting", "dropped"))
            table.add_row(str(reader["reader"]), Text(printable(reader["topics"])), *counts)
        yield _with_rest(table, min(len(readers), MOST_ROWS), len(readers), "readers")


def _hour(picture: Picture) -> Iterator[Text]:
    sessions, gaps = picture["sessions"], picture["gaps"]
    yield Text(f"the last hour: {len(sessions)} sessions, {len(gaps)} gaps", "bold")
    for session in [each for each in sessions if "ended" in each][:MOST_LINES]:
        yield Text(f"  {_clock(session['ended'])} session ended: {printable(session['reason'])}")
    for gap in gaps[:MOST_LINES]:
        yield Text(f"  {_clock(gap['first_received'])} gap of {gap['received_s']:.1f} s")


def _log(lines: Sequence[Picture]) -> Iterator[Text]:
    for line in list(lines)[-MOST_LINES:]:
        at = datetime.fromtimestamp(line["time_s"]).strftime("%H:%M:%S")
        text = f"{at} {printable(line['text'])}"
        yield Text(text, _STYLES.get(line["level"], "dim"), no_wrap=True, overflow="ellipsis")


def _table(*heads: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    texts = ("", "state", "pipes", "topics", "says", "how the last one ended", "forecast")
    for head in heads:
        table.add_column(
            head, justify="left" if head in texts else "right", no_wrap=True, overflow="ellipsis",
            min_width=_LEAST_WIDTHS.get(head),
        )  # fmt: skip
    return table


def _with_rest(table: Table, shown: int, total: int, what: str) -> RenderableType:
    return Group(table, Text(f"and {total - shown:,} more {what}", "dim")) if total > shown else table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}"


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, left_s = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left_s:02}"


def _bytes(size: int) -> str:
    return f"{size / (1 << 20):,.1f} MiB"


def _clock(time_utc: str) -> str:
    return datetime.fromisoformat(time_utc).astimezone().strftime("%H:%M:%S")
