"""Columns: records decoded in C, straight from a pipe's frames into arrays, without a Python object per record.

    import sys
    import trade_balancer

    trade_balancer.outlive_stop_signals()
    fds = trade_balancer.fds_of_command_line(sys.argv)
    for batch in trade_balancer.columns(fds, "sym", "p", "s", "t"):
        trades = batch["T"]
        if len(trades):
            dollars = trades["p"] * trades["s"]  # NumPy's float64
            largest = dollars.argmax()
            print(trades.symbols[trades["sym"][largest]], dollars[largest], "at", trades["t"][largest], "ms")

A batch is what one read of a pipe brought: a table per event (`Trades`, `Quotes`, ..., all of them a `Table`), and the
records that are in none, as bytes (`Batch.others`). What is not asked for is not decoded. `polars.DataFrame(trades)`,
`pyarrow.table(trades)` and the like take a table without a copy.

Every record goes one of two ways, with one result. Records whose order of members was seen before take a fast path: it
guesses where each value is, and proves the whole record, wanted or not, before it believes the guess. All others go to
an exact decoder, which reads JSON as orjson does: numbers rounded correctly, escapes resolved, of members of one name
the last. A record that is no JSON object, or that has a value which does not fit its column, is handed over as bytes.

Law: who imports this needs neither NumPy nor the C module; who decodes, needs that; who asks for arrays, NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trade_balancer.columnar.reader import Columns


def columns(fds: Sequence[int], *names: str, events: Sequence[str] | None = None, acknowledge: bool = True) -> Columns:
    """The records of some pipes, as an iterator of batches of columns, until all pipes have ended.

    What a batch, its tables and their columns are, in which shapes and units, stands in `trade_balancer.columnar.batch`
    and `.tables`; of an event's members in its table there. Signals are left alone: see `outlive_stop_signals`.

    Args:
        fds: numbers of open, readable, blocking file descriptors, as for `batches`.
        names: the columns to decode, by the wire's names ("sym", "p", "t"), of every event that has one of that name;
            decimals also exactly, as "p.exact". None: all members. An event without a chosen column gets no table.
        events: those that may get tables ("T", "Q", ...); the records of others are handed over as bytes.
        acknowledge: as for `batches`.

    Raises:
        ValueError: a column or an event that does not exist, or is named twice.
        PipeError, ProtocolError: at once; ReadError, MemoryError: in between; TruncatedFrameError: at the very end.
    """
    from trade_balancer.columnar.decoder import Decoder
    from trade_balancer.columnar.reader import Columns
    from trade_balancer.pipes import COLUMNS_READ_BYTES, Pipes

    pipes = Pipes(fds, acknowledge=acknowledge, read_bytes=COLUMNS_READ_BYTES)
    return Columns(pipes, Decoder(names, events))
