"""The parts whose rows are functions (harness/rows.py). To add a part: a line here, its folder and its figures."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from harness import attach, books, emit, faults, goals, kafka, ledger, upgrade
from harness.goals import Figure
from harness.results import Results
from harness.rows import RowResults, Terms

Say = Callable[[str], None]


class Part(NamedTuple):
    text: str
    """What it measures, and how long that takes."""
    measure: Callable[[Terms, Say], RowResults]
    figures: Callable[[RowResults, Results], list[Figure]]
    """Of its rows; some look at the part `throughput`, too."""
    needs_programs: bool = False
    """Those in C."""


ROW_PARTS: Mapping[str, Part] = {
    "faults": Part(
        "lb beside workers that are killed and frozen, in about one", faults.ROWS.measure, goals.fault_figures, True
    ),
    "attach": Part("lb with readers, in about two", attach.measure, goals.attach_figures, True),
    "books": Part("order books, in about three", books.ROWS.measure, goals.book_figures),
    "emit": Part("very many clients of lb-emit, in about three", emit.ROWS.measure, goals.emit_figures),
    "kafka": Part("records to a broker of Kafka's and back, in about three", kafka.ROWS.measure, goals.kafka_figures),
    "ledger": Part("accounts, in about two", ledger.ROWS.measure, goals.ledger_figures),
    "upgrade": Part("lb replaced while it runs, in about one", upgrade.ROWS.measure, goals.upgrade_figures, True),
}
