"""How far a server has come, as a bar on a terminal."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from lb.replay.tally import Totals

INTERVAL_S = 0.25
"""How often to call `show`."""


class _RateColumn(ProgressColumn):
    """Records per second over the last seconds."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f} records/s", style="progress.data.speed")


class ProgressBar:
    """A context manager that draws on standard error. `expected` is the number of records in all, if it is known."""

    def __init__(self, expected: int | None) -> None:
        self._progress = Progress(
            BarColumn(),
            TextColumn("{task.completed:,.0f} records"),
            _RateColumn(),
            TextColumn("{task.fields[connections]} connections"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            auto_refresh=False,
        )
        self._task = self._progress.add_task("sent", total=expected, connections=0)

    def show(self, totals: Totals) -> None:
        """Draws the bar anew."""
        self._progress.update(self._task, completed=totals.records_total, connections=totals.connections_total)
        self._progress.refresh()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
