"""The records of a pipe for asyncio.

Law: as in pipes.py the fd stays blocking; it is read once each time the event loop finds it readable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from trade_balancer.decoding import Decode, Record, decoder
from trade_balancer.pipes import Pipes
from trade_balancer.skips import OnError, Skips

if TYPE_CHECKING:
    from trade_balancer.columnar.batch import Batch

_T = TypeVar("_T")


@overload
def records(
    fd: int, *, raw: Literal[False] = False, on_error: OnError = "skip", acknowledge: bool = True
) -> AsyncIterator[Record]: ...
@overload
def records(fd: int, *, raw: Literal[True], acknowledge: bool = True) -> AsyncIterator[bytes]: ...
@overload
def records(
    fd: int, *, decode: Callable[[bytes], _T], on_error: OnError = "skip", acknowledge: bool = True
) -> AsyncIterator[_T]: ...


@overload
def records(
    fd: int, *, columns: Sequence[str], on_error: OnError = "skip", acknowledge: bool = True
) -> AsyncIterator[Batch]: ...


async def records(
    fd: int,
    *,
    raw: bool = False,
    decode: Callable[[bytes], Any] | None = None,
    columns: Sequence[str] | None = None,
    on_error: OnError = "skip",
    acknowledge: bool = True,
) -> AsyncIterator[Any]:
    """Yields the records of the pipe `fd` as dicts, as bytes with `raw`, or as what `decode` makes of them, to its end.

    With `columns`, yields batches of these columns instead, as `trade_balancer.columns` has them; all, if it is empty.

    A record that can't be decoded is shown on standard error and passed over; with `on_error="raise"` it ends the
    iteration once all others of its read have been yielded. Signals are left alone: see `outlive_stop_signals`. With
    `lb --redeliver` the records of a read are acknowledged once the next one is asked for, or not with
    `acknowledge=False`.

    Raises:
        PipeError, ProtocolError, ReadError: at once.
        ValueError: a column that does not exist, or is named twice.
        RecordError: with `on_error="raise"`.
        TruncatedFrameError: at the end.
    """
    pipe = Pipes([fd], acknowledge=acknowledge)
    acknowledger = pipe.acknowledger
    skips = Skips(on_error)
    read = _reader(pipe, skips, decoder(raw, decode), columns)
    loop = asyncio.get_running_loop()
    while True:
        while not await readable(loop, fd, None if acknowledger is None else acknowledger.finished()):
            pass
        for item in read(fd):
            yield item
        skips.raise_fault()
        if pipe.has_ended(fd):
            if acknowledger is not None:
                acknowledger.tell(waits=True)
            pipe.check_ends()
            return


def _reader(pipe: Pipes, skips: Skips, decode: Decode, columns: Sequence[str] | None) -> Callable[[int], Iterable[Any]]:
    """What makes of one read what is yielded."""
    if columns is None:
        return lambda fd: decode(pipe.read(fd) or (), fd, skips)
    from trade_balancer.columnar.decoder import Decoder
    from trade_balancer.columnar.reader import Columns

    source = Columns(pipe, Decoder(columns))

    def read(fd: int) -> Iterator[Batch]:
        for batch in source.read(fd):
            for record in batch.others.bad():
                skips.undecodable(record, fd, "not a JSON object")
            yield batch

    return read


async def readable(loop: asyncio.AbstractEventLoop, fd: int, wait_s: float | None) -> bool:
    """Returns True when a read of `fd` would not block, or False after `wait_s`.

    Watched anew each time: a watched fd that is not read calls back in every turn of the loop.
    """
    ready: asyncio.Future[bool] = loop.create_future()

    def set_ready(is_readable: bool = True) -> None:
        if not ready.done():
            ready.set_result(is_readable)

    loop.add_reader(fd, set_ready)
    timer = None if wait_s is None else loop.call_later(wait_s, set_ready, False)
    try:
        return await ready
    finally:
        loop.remove_reader(fd)
        if timer is not None:
            timer.cancel()
