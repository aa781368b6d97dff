"""The worker SDK: what a program needs that reads the balancer's pipes.

The balancer starts a worker as `WORKER ARGS... FD FD FD ...`. On each FD, the read end of a pipe, come frames: 4 bytes,
little-endian, the length in bytes of the one JSON object that follows. When a pipe ends (EOF), its records have all
come; when all pipes have ended, the worker finishes and exits with 0, and not before: SIGTERM may come at any time from
whoever stops lb and its workers at once, and `run` ignores it (`outlive_stop_signals`). A complete worker:

    from trade_balancer import Record, run

    def on_record(record: Record, fd: int) -> None:
        if record["ev"] == "T" and record["p"] * record["s"] > 100_000:
            print(record["sym"], record["p"], record["s"])

    run(on_record)

`run(..., raw=True)` hands over bytes, `run(..., batch=True)` lists of what one read brought, `run(..., processes=True)`
reads each pipe in a process of its own; `run(..., on_error="skip")` passes over records that the handler fails on. The
same as a loop, by batches of bytes:

    import sys
    import trade_balancer

    trade_balancer.outlive_stop_signals()
    for fd, records in trade_balancer.batches(trade_balancer.fds_of_command_line(sys.argv)):
        print(len(records), "records from", fd)

`run(..., decode=...)` hands over what a function makes of the bytes; `trade_balancer.typed.decode` makes objects with
typed members of them; `columns(fds, "sym", "p", "s", "t")` decodes into arrays, see `trade_balancer.columnar`.

With `lb --redeliver` each of these acknowledges what it has handed over, once the next is asked for; `numbered(fds)`
tells each record's number, by which a store knows what comes a second time, and `acknowledge(fd, number)` is for
programs that finish later (docs/redelivery.md).

With asyncio, a task per pipe:

    import asyncio
    import sys
    from trade_balancer import fds_of_command_line, outlive_stop_signals, records

    async def read(fd: int) -> None:
        async for record in records(fd):
            print(record["sym"])

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            for fd in fds_of_command_line(sys.argv):
                tasks.create_task(read(fd))

    outlive_stop_signals()
    asyncio.run(main())

Million records a second that one core takes (Xeon at 2.5 GHz, CPython 3.11, trades of 160 bytes, a handler that does
nothing; `scripts/bench --parts workers` measures it):

    views                        30        run, decode=typed.decode      1.2     lb-count    2.2
    batches; run, raw, batch     20        run                           1.05    lb-bars     4.5
    run, raw                     12        orjson.loads alone            1.3     lb-jsonl    2.5
    columns: sym, p, s, t        10        columns: all members          7
    without the SDK, a buffered file: read(4), read(n), no more          2.9

The package needs the standard library and orjson; it imports nothing of the balancer. `workers` is a short name for it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from trade_balancer.acknowledgement import acknowledge
from trade_balancer.asynchronous import records
from trade_balancer.channel import first_number
from trade_balancer.columnar import columns
from trade_balancer.control.attach import Attached, attach
from trade_balancer.decoding import Record
from trade_balancer.errors import (
    ChildError,
    NoBalancerError,
    OutputError,
    PipeError,
    ProtocolError,
    ReadError,
    RecordError,
    RefusedError,
    TruncatedFrameError,
    WorkerError,
)
from trade_balancer.frames import FrameCutter
from trade_balancer.pipes import batches, numbered, views
from trade_balancer.runner import Totals, fds_of_command_line, run
from trade_balancer.signals import outlive_stop_signals
from trade_balancer.skips import OnError

if TYPE_CHECKING:
    from trade_balancer.typed import *  # noqa: F403

__all__ = [
    "Attached",
    "ChildError",
    "FrameCutter",
    "NoBalancerError",
    "OnError",
    "OutputError",
    "PipeError",
    "ProtocolError",
    "ReadError",
    "Record",
    "RecordError",
    "RefusedError",
    "Totals",
    "TruncatedFrameError",
    "WorkerError",
    "acknowledge",
    "attach",
    "batches",
    "columns",
    "fds_of_command_line",
    "first_number",
    "numbered",
    "outlive_stop_signals",
    "records",
    "run",
    "views",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """The classes of `trade_balancer.typed`, imported when they are asked for: msgspec comes with an extra."""
        if name[:1].isupper():
            typed = importlib.import_module("trade_balancer.typed")
            if name in typed.__all__:
                return getattr(typed, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
