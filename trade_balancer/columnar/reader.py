"""Class Columns: pipes in, batches of columns out."""

from __future__ import annotations

from collections.abc import Iterator

from trade_balancer.columnar.batch import Batch
from trade_balancer.columnar.decoder import Decoder
from trade_balancer.pipes import Pipes


class Columns:
    """The batches of some pipes; `columns` makes one. `decoder` has the symbols and the counters."""

    def __init__(self, pipes: Pipes, decoder: Decoder) -> None:
        self.decoder = decoder
        self.pipes = pipes

    def __iter__(self) -> Iterator[Batch]:
        yield from self.batches()
        self.pipes.check_ends()

    def batches(self) -> Iterator[Batch]:
        """As iterating, but a pipe that has ended inside a frame is no error here (`pipes` tells)."""
        for ready in self.pipes.readable():
            for fd in ready:
                yield from self.read(fd)

    def rounds(self, idle_s: float | None = None) -> Iterator[list[Batch]]:
        """As `batches`, but what can be read at one time comes together. A pipe may have more than one batch of it.

        With `idle_s` an empty round comes whenever nothing could be read for so many seconds.
        """
        for ready in self.pipes.readable(idle_s):
            round_ = [batch for fd in ready for batch in self.read(fd)]
            if round_ or not ready:
                yield round_

    def read(self, fd: int) -> Iterator[Batch]:
        """The batches of one read of a pipe: mostly one; none at its end, or where no record was completed."""
        chunk = self.pipes.read_chunk(fd)
        if chunk is None:
            return
        cutter = self.pipes.cutters[fd]
        records_before = self.decoder.records_total
        begun, start = cutter.lead(chunk)
        views = (begun, chunk[start:]) if begun else (chunk[start:],)
        stop = start + (yield from self.decoder.decode(views, fd))
        records = self.decoder.records_total - records_before
        cutter.keep(chunk, begun, start, stop, records - bool(begun))
