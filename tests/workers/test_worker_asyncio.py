"""`records` under asyncio."""

from __future__ import annotations

import asyncio
import os

import orjson
import pytest
from feeding import cut_streams, decoded_simply, framed, pipes_with
from hypothesis import given
from hypothesis import strategies as st

from trade_balancer import OnError, PipeError, Record, RecordError, TruncatedFrameError, records


async def received(fd: int) -> tuple[list[bytes], str]:
    got = []
    try:
        async for record in records(fd, raw=True):
            got.append(record)
    except TruncatedFrameError as fault:
        return got, str(fault)
    return got, ""


@given(st.lists(cut_streams(), min_size=1, max_size=4))
def test_any_streams_read_by_tasks_of_one_loop(cases: list[tuple[bytes, list[bytes]]]) -> None:
    async def all_received(fds: list[int]) -> list[tuple[list[bytes], str]]:
        return await asyncio.gather(*map(received, fds))

    with pipes_with([chunks for _, chunks in cases]) as fds:
        outcomes = asyncio.run(all_received(fds))
        for (stream, _), fd, (got, fault) in zip(cases, fds, outcomes, strict=True):
            assert got == decoded_simply(stream)
            assert fault.startswith(f"fd {fd}: the pipe ended inside a ") == (framed(got) != stream)


def test_a_record_comes_as_soon_as_it_is_written_and_other_tasks_run_meanwhile() -> None:
    async def talk(read_end: int, write_end: int) -> list[Record]:
        heard = []
        stream = records(read_end)
        for number in range(3):
            waiting = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)  # lets it begin to wait
            assert not waiting.done()
            os.write(write_end, framed([orjson.dumps({"number": number})]))
            heard.append(await waiting)
        return heard

    read_end, write_end = os.pipe()
    try:
        assert asyncio.run(talk(read_end, write_end)) == [{"number": 0}, {"number": 1}, {"number": 2}]
        assert os.get_blocking(read_end)
    finally:
        os.close(read_end)
        os.close(write_end)


def test_a_cancelled_reader_leaves_the_pipe_to_the_next() -> None:
    async def cancel_then_read(read_end: int, write_end: int) -> object:
        first = asyncio.ensure_future(anext(records(read_end)))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert not asyncio.get_running_loop().remove_reader(read_end)  # nothing is left to remove
        os.write(write_end, framed([b'{"kept":true}']))
        return await anext(records(read_end))

    read_end, write_end = os.pipe()
    try:
        assert asyncio.run(cancel_then_read(read_end, write_end)) == {"kept": True}
    finally:
        os.close(read_end)
        os.close(write_end)


def test_a_record_that_is_no_object_is_passed_over_or_raised_after_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def read(fd: int, on_error: OnError) -> list[Record]:
        got: list[Record] = []
        try:
            async for record in records(fd, on_error=on_error):
                got.append(record)
        except RecordError as fault:
            got.append({"raised": str(fault)})
        return got

    stream = framed([b'{"a":1}', b"[]", b"{}"])
    told = "fd {}: record of 2 bytes is a JSON list, not an object: '[]'"
    with pipes_with([[stream], [stream]]) as (first, second):
        assert asyncio.run(read(first, "skip")) == [{"a": 1}, {}]
        assert f"{told.format(first)}; skipped\n" in capsys.readouterr().err
        assert asyncio.run(read(second, "raise")) == [{"a": 1}, {}, {"raised": told.format(second)}]
        assert capsys.readouterr().err == ""


def test_a_number_that_is_no_fd_is_refused() -> None:
    async def read() -> None:
        await anext(records(99_999))

    with pytest.raises(PipeError, match="fd 99999: not an open file descriptor"):
        asyncio.run(read())
