"""The records of a pipe for asyncio.

Law: as in pipes.py the fd stays blocking; it is read once each time the event loop finds it readable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal, TypeVar, overload

from trade_balancer.decoding import Record, decoder
from trade_balancer.pipes import Pipes
from trade_balancer.skips import OnError, Skips

_T = TypeVar("_T")


@overload
def records(fd: int, *, raw: Literal[False] = False, on_error: OnError = "skip") -> AsyncIterator[Record]: ...
@overload
def records(fd: int, *, raw: Literal[True]) -> AsyncIterator[bytes]: ...
@overload
def records(fd: int, *, decode: Callable[[bytes], _T], on_error: OnError = "skip") -> AsyncIterator[_T]: ...


async def records(
    fd: int, *, raw: bool = False, decode: Callable[[bytes], Any] | None = None, on_error: OnError = "skip"
) -> AsyncIterator[Any]:
    """Yields the records of the pipe `fd` as dicts, as bytes with `raw`, or as what `decode` makes of them, to its end.

    A record that can't be decoded is shown on standard error and passed over; with `on_error="raise"` it ends the
    iteration once all others of its read have been yielded. Signals are left alone: see `outlive_stop_signals`.

    Raises:
        PipeError, ProtocolError, ReadError: at once.
        RecordError: with `on_error="raise"`.
        TruncatedFrameError: at the end.
    """
    pipe = Pipes([fd])
    skips = Skips(on_error)
    decoded = decoder(raw, decode)
    loop = asyncio.get_running_loop()
    while True:
        await _readable(loop, fd)
        batch = pipe.read(fd)
        if batch is None:
            pipe.check_ends()
            return
        for record in decoded(batch, fd, skips):
            yield record
        skips.raise_fault()


async def _readable(loop: asyncio.AbstractEventLoop, fd: int) -> None:
    """Returns when a read of `fd` would not block.

    Watched anew each time: a watched fd that is not read calls back in every turn of the loop.
    """
    ready: asyncio.Future[None] = loop.create_future()

    def set_ready() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(fd, set_ready)
    try:
        await ready
    finally:
        loop.remove_reader(fd)
