"""`columns` on real pipes: however the frames arrive, the records are the same; ends, errors, several pipes."""

from __future__ import annotations

import asyncio
import os
import re
from itertools import pairwise

import pytest
from columns_model import Other, Row, decoded, expected, framed
from feeding import filled_pipes, pipes_with
from hypothesis import given, settings
from hypothesis import strategies as st
from test_columns_arrays import RECORDS
from test_columns_decoder import strange_records, usual_records

import trade_balancer
from trade_balancer.columnar.batch import Batch, Why
from trade_balancer.columnar.decoder import Decoder
from trade_balancer.columnar.memory import ROWS, TEXT_BYTES

Capture = pytest.CaptureFixture[str]


@st.composite
def chunks(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    records = draw(st.lists(usual_records() | strange_records() | st.binary(max_size=400), max_size=12))
    stream = framed(records)
    cuts = [0, *sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12))), len(stream)]
    return records, [stream[begin:end] for begin, end in pairwise(cuts)]


@settings(max_examples=60)
@given(chunks())
def test_however_frames_arrive_the_records_are_the_same(arriving: tuple[list[bytes], list[bytes]]) -> None:
    records, pieces = arriving
    with pipes_with([pieces]) as (fd,):
        source = trade_balancer.columns([fd])
        found = decoded(source.decoder, source)
    assert found == [expected(record, source.decoder.tables) for record in records]
    assert source.pipes.cutters[fd].records_total == len(records)
    assert source.pipes.cutters[fd].bytes_total == sum(map(len, records))


def test_a_record_of_any_length_is_handed_over() -> None:
    small, large = RECORDS[0], b'{"ev":"T","i":"%s"}' % (b"1" * (TEXT_BYTES - 20))
    too_large = b'{"ev":"T","i":"%s"}' % (b"1" * TEXT_BYTES)
    with pipes_with([[framed([small, large, too_large, small, large])]]) as fds:
        source = trade_balancer.columns(fds)
        found = decoded(source.decoder, source)
    assert [type(one) for one in found] == [Row, Row, Other, Row, Row]
    assert found[2] == Other(too_large, Why.MISFIT)
    assert found == [expected(record, source.decoder.tables) if record != too_large else found[2]
                     for record in (small, large, too_large, small, large)]  # fmt: skip


def test_more_rows_than_a_block_has_come_in_several_batches() -> None:
    records = [b'{"ev":"T","x":%d}' % number for number in range(ROWS + 1000)] + [b"{}"] * (ROWS + 10)
    decoder = Decoder(["x"])
    batches = list(decoder.decode([framed(records)]))
    assert [len(batch) for batch in batches] == [ROWS, ROWS + 1000, 10]
    assert [value for batch in batches for value in batch["T"].view("x").tolist()] == list(range(ROWS + 1000))
    assert [batch.others.order.tolist()[:1] for batch in batches] == [[], [1000], [0]]


def test_several_pipes_share_symbols_and_tell_whose_a_batch_is() -> None:
    streams = [[framed([RECORDS[0]] * 3)], [framed([RECORDS[1]] * 5)], [b""]]
    with pipes_with(streams) as fds:
        source = trade_balancer.columns(fds, "sym")
        rows: dict[int, list[str]] = {}
        for batch in source:
            rows.setdefault(batch.fd, []).extend(batch.symbols[code] for code in batch["T"].view("sym").tolist())
    assert rows == {fds[0]: ["AAPL"] * 3, fds[1]: ["MSFT"] * 5}


def test_what_can_be_read_at_one_time_comes_as_a_round() -> None:
    with pipes_with([[framed(RECORDS)], [framed(RECORDS)]]) as fds:
        rounds = list(trade_balancer.columns(fds, "p").rounds())
    assert sum(len(batch) for round_ in rounds for batch in round_) == 6


@pytest.mark.parametrize("missing_bytes", [1, 90, 155])
def test_a_pipe_that_ends_inside_a_frame_is_told_when_all_was_handed_out(missing_bytes: int) -> None:
    with pipes_with([[framed(RECORDS + RECORDS[:1])[:-missing_bytes]]]) as fds:
        found: list[float] = []
        with pytest.raises(trade_balancer.TruncatedFrameError, match=rf"fd {fds[0]}: the pipe ended inside"):
            found.extend(price for batch in trade_balancer.columns(fds, "p") for price in batch["T"].view("p").tolist())
    assert found == [297.845, 156.9799, 0.001]


def test_what_is_asked_for_wrongly_is_an_error_at_once() -> None:
    read_end, write_end = os.pipe()
    for names, events, told in (
        (["sym", "price"], None, "no column 'price' in T, Q, A, "),
        (["sym", "x.exact"], None, "no column 'x.exact'"),
        (["bp"], ["T"], "no column 'bp' in T: there are c, ds, ds.exact, "),
        (["sym", "sym"], None, "named twice: sym"),
        ([], ["T", "XL2"], "event 'XL2' has no table: there are T, Q, "),
    ):
        with pytest.raises(ValueError, match=told):
            trade_balancer.columns([read_end], *names, events=events)
    with pytest.raises(trade_balancer.PipeError):
        trade_balancer.columns([write_end], "sym")
    os.close(read_end)
    os.close(write_end)


def test_only_what_is_chosen_has_a_table_and_the_rest_comes_as_bytes_in_order() -> None:
    quote = b'{"ev":"Q","sym":"AAPL","bp":1}'
    decoder = Decoder(["sym", "p"], ["T"])
    (batch,) = decoder.decode([framed([quote, RECORDS[0], b"[]", RECORDS[1], b'{"ev":"T","p":"dear"}'])])
    assert batch["T"].order.tolist() == [1, 3]
    assert list(batch.others) == [quote, b"[]", b'{"ev":"T","p":"dear"}']
    assert batch.others.order.tolist() == [0, 2, 4]
    assert [batch.others.why(number) for number in range(3)] == [Why.OTHER_EVENT, Why.BAD, Why.MISFIT]
    assert (batch.others[-1], batch.others[:2]) == (b'{"ev":"T","p":"dear"}', [quote, b"[]"])
    assert repr(batch) == "<Batch of fd -1: T: 2, others: 3>"
    with pytest.raises(IndexError):
        batch.others[3]


def test_run_hands_over_batches_and_counts_what_is_no_json() -> None:
    streams = [[framed([RECORDS[0], b"{", RECORDS[1]])], [framed([b'{"ev":"Q"}', RECORDS[2]])]]
    prices: dict[int, list[float]] = {}
    others: list[bytes] = []

    def on_batch(batch: Batch, fd: int) -> None:
        assert batch.fd == fd
        prices.setdefault(fd, []).extend(batch["T"].view("p").tolist())
        others.extend(batch.others)

    with pipes_with(streams) as fds:
        totals = trade_balancer.run(on_batch, fds, columns=["p"])
    assert prices == {fds[0]: [297.845, 156.9799], fds[1]: [0.001]}
    assert sorted(others) == [b"{", b'{"ev":"Q"}']
    assert totals == trade_balancer.Totals(5, undecodable=1)


@pytest.mark.parametrize("on_error", ["skip", "raise"])
def test_run_tells_on_which_batch_a_handler_failed(on_error: trade_balancer.OnError, capsys: Capture) -> None:
    def on_batch(_batch: Batch, _fd: int) -> None:
        raise RuntimeError("no")

    with pipes_with([[framed(RECORDS)]]) as fds:
        told = f"fd {fds[0]}: the handler failed on <Batch of fd {fds[0]}: T: 3>"
        if on_error == "skip":
            totals = trade_balancer.run(on_batch, fds, columns=["p"], on_error=on_error)
            assert totals == trade_balancer.Totals(3, failed=3)
            assert told in capsys.readouterr().err
        else:
            with pytest.raises(RuntimeError) as raised:
                trade_balancer.run(on_batch, fds, columns=["p"], on_error=on_error)
            assert raised.value.__notes__ == [f"{told}; 0 more records of this read are not handled"]


def test_run_reads_columns_in_a_process_for_each_pipe() -> None:
    with filled_pipes([framed(RECORDS), framed(RECORDS * 2)]) as fds:
        totals = trade_balancer.run(lambda batch, fd: None, fds, columns=[], processes=True)
    assert totals == trade_balancer.Totals(9)


@pytest.mark.parametrize("on_error", ["skip", "raise"])
def test_asyncio_has_the_same_batches(on_error: trade_balancer.OnError, capsys: Capture) -> None:
    prices: list[float] = []
    others: list[bytes] = []

    async def read(fd: int) -> None:
        async for batch in trade_balancer.records(fd, columns=["p"], on_error=on_error):
            assert batch.fd == fd
            prices.extend(batch["T"].view("p").tolist())
            others.extend(batch.others)

    stream = framed([RECORDS[0], b"{", RECORDS[1], b'{"ev":"Q"}', RECORDS[2]])
    with pipes_with([[stream[:9], stream[9:100], stream[100:] + b"\x07"]]) as (fd,):
        told = f"fd {fd}: record of 1 bytes is not a JSON object: '{{'"
        expected = trade_balancer.TruncatedFrameError if on_error == "skip" else trade_balancer.RecordError
        with pytest.raises(
            expected, match=f"fd {fd}: the pipe ended inside" if on_error == "skip" else re.escape(told)
        ):
            asyncio.run(read(fd))
    assert (f"{told}; skipped" in capsys.readouterr().err) == (on_error == "skip")
    if on_error == "skip":
        assert (prices, others) == ([297.845, 156.9799, 0.001], [b"{", b'{"ev":"Q"}'])
