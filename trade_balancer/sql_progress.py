"""How far the pipes are stored, as the database itself knows it: what lb gives out once more is not stored twice.

Law: the number is written in the transaction that it tells of, and only if it is there what the worker thinks it is.
Two workers that store the same records, one of them thought to be dead, can't both succeed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from trade_balancer.acknowledgement import Mark, Unfinished
from trade_balancer.channel import first_number
from trade_balancer.columnar.events import Kind
from trade_balancer.errors import OutputError
from trade_balancer.sql_tables import SqlTable

STORED = SqlTable("lb_stored", {"run": Kind.TEXT, "pipe": Kind.INT32, "number": Kind.INT64}, ("run", "pipe"))
"""A row for each pipe of each life of lb (LB_RUN): the number of the first record that is not stored."""


class Step(NamedTuple):
    """What a transaction stores of a pipe: its records with these numbers, `end` not among them."""

    run: str
    pipe: int
    begin: int
    end: int


class Progress:
    """Of the pipes of one worker; `unfinished` is told what is stored.

    Args:
        run: the life of lb that numbers are of.
        stored: by pipe, the number of the first record that is not stored.
    """

    def __init__(self, unfinished: Unfinished, run: str, stored: Mapping[int, int]) -> None:
        self._unfinished = unfinished
        self._run = run
        self._stored = dict(stored)
        self._read: dict[int, int] = {}

    def read(self, pipe: int, records: int) -> int:
        """So many more records have been read. Returns how many of them, from the first on, are stored already."""
        first = self._read.get(pipe, first_number(pipe))
        self._read[pipe] = first + records
        return min(max(self._stored.get(pipe, 0) - first, 0), records)

    def steps(self, mark: Mark) -> list[Step]:
        """What a transaction stores that has all that was read at the mark, and is not stored yet."""
        ends = {pipe: first_number(pipe) + records for pipe, (records, _) in mark.items()}
        begins = {pipe: self._stored.get(pipe, first_number(pipe)) for pipe in ends}
        return [Step(self._run, pipe, begins[pipe], end) for pipe, end in ends.items() if end > begins[pipe]]

    def note(self, mark: Mark) -> None:
        """The transaction is committed."""
        self._stored |= {step.pipe: step.end for step in self.steps(mark)}
        self._unfinished.finish(mark)


def advance(execute: Callable[[str, Sequence[Any]], Any], steps: Sequence[Step], place: str) -> bool:
    """Writes how far the pipes are stored with the transaction that is open. `place` stands for a value in SQL.

    Returns False where they are that far: the same transaction was committed when its connection broke.

    Raises:
        OutputError: another worker has stored records of the pipe meanwhile.
    """
    behind = [
        step for step in steps if execute(_ADVANCE.format(place), (*step[:2], step.end, step.begin)).rowcount != 1
    ]
    for step in behind:
        (number,) = execute(_NUMBER.format(place), step[:2]).fetchone()
        if number != step.end:
            raise OutputError(
                f"pipe {step.pipe}: another worker has stored its records up to {number}, not {step.begin}, meanwhile"
            )
    return not behind


_ADVANCE = (
    "INSERT INTO lb_stored (run, pipe, number) VALUES ({0}, {0}, {0}) ON CONFLICT (run, pipe) "
    "DO UPDATE SET number = excluded.number WHERE lb_stored.number = {0}"
)
_NUMBER = "SELECT number FROM lb_stored WHERE run = {0} AND pipe = {0}"
