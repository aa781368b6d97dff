"""A table as an Arrow array: what pyarrow, polars and DuckDB make of it, and that memory is kept and given back."""

from __future__ import annotations

import ctypes
import gc
from decimal import Decimal
from typing import Any

import duckdb
import polars
import pyarrow as pa
from columns_model import framed, values_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_columns_arrays import RECORDS, trades
from test_columns_decoder import usual_records

from trade_balancer.columnar._columns import lib
from trade_balancer.columnar.decoder import Decoder
from trade_balancer.columnar.events import Kind


@settings(max_examples=40)
@given(st.lists(usual_records(), min_size=1, max_size=20))
def test_pyarrow_has_the_values_of_the_table(records: list[bytes]) -> None:
    decoder = Decoder(["sym", "T", "p", "p.exact", "h", "i", "c", "x", "t", "ds", "otc"])
    for batch in decoder.decode([framed(records)]):
        for table in batch:
            arrow = pa.table(table)
            arrow.validate(full=True)
            assert arrow.num_rows == len(table)
            for column in decoder.tables[table.event]:
                values = arrow.column(column.name)
                if column.kind in (Kind.TIME_MS, Kind.TIME_NS):
                    values = values.cast(pa.int64())
                expected = values_of(table, column)
                if column.kind is Kind.DECIMAL:
                    doubles = table[column.name].tolist()
                    expected = [None if one is None else double for one, double in zip(expected, doubles, strict=True)]
                assert [_plain(value) for value in values.to_pylist()] == expected


def _plain(value: Any) -> Any:
    return Decimal(value["mantissa"]).scaleb(value["exponent"]) if isinstance(value, dict) else value


def test_types_of_arrow() -> None:
    schema = pa.schema(trades())
    assert schema.field("sym").type == pa.dictionary(pa.int32(), pa.utf8())
    assert schema.field("t").type == pa.timestamp("ms", "UTC")
    assert schema.field("c").type == pa.list_(pa.field("item", pa.int32(), nullable=False))
    assert schema.field("ds").type == pa.float64()
    assert pa.schema(trades("p.exact")).field("p.exact").type == pa.struct(
        [pa.field("mantissa", pa.int64(), nullable=False), pa.field("exponent", pa.int16(), nullable=False)]
    )


def test_arrow_does_not_copy() -> None:
    table = trades()
    for name, values in (("p", table["p"]), ("t", table["t"])):
        buffer = pa.record_batch(table).column(name).buffers()[1]
        assert buffer is not None
        assert buffer.address == values.ctypes.data


def test_polars_and_duckdb_take_it() -> None:
    taken = trades()
    frame = polars.DataFrame(taken)
    assert frame["sym"].to_list() == ["AAPL", "MSFT", "AAPL"]
    assert frame["c"].to_list() == [None, [37], [14, 37, 41]]
    assert frame["ds"].to_list() == [40.0, None, 0.740474]
    found = duckdb.sql("select sym, sum(p * s), count(ds), max(epoch_ms(t)) from taken group by sym order by sym")
    assert found.fetchall() == [("AAPL", 297.845 * 40, 2, 1781622376036), ("MSFT", 156.9799 * 3, 0, 1577818283019)]


def test_an_array_outlives_the_decoder_and_symbols_that_came_later() -> None:
    decoder = Decoder(["sym"])
    (batch,) = decoder.decode([framed(RECORDS)])
    arrow = pa.table(batch["T"])
    many = [b'{"ev":"T","sym":"%X"}' % number for number in range(20_000)]
    for batch in decoder.decode([framed(many)]):
        assert pa.table(batch["T"]).column("sym").to_pylist() == [
            batch.symbols[code] for code in batch["T"].view("sym").tolist()
        ]
    assert len(decoder.symbols) == 20_003
    assert [decoder.symbols.code(symbol) for symbol in ("", "AAPL", "4E1F", "none")] == [0, 1, 20_002, None]
    del decoder, batch
    gc.collect()
    assert arrow.column("sym").to_pylist() == ["AAPL", "MSFT", "AAPL"]
    assert arrow.column("sym").chunk(0).dictionary.to_pylist() == ["", "AAPL", "MSFT"]


def references(decoder: Decoder) -> list[int]:
    return [lib.columns_block_references(block) for block in decoder._blocks._kept]


def test_capsules_that_nobody_takes_give_back_what_they_hold() -> None:
    decoder = Decoder()
    (batch,) = decoder.decode([framed(RECORDS)])
    table = batch["T"]
    idle = references(decoder)
    capsules = [table.__arrow_c_schema__(), *table.__arrow_c_array__(), table.__arrow_c_stream__()]
    assert references(decoder) > idle
    del capsules
    assert references(decoder) == idle
    arrow = pa.record_batch(table)
    parts = [arrow.column("p"), arrow.column("c").values, arrow.column("sym").dictionary]
    del arrow
    assert references(decoder) > idle  # a part keeps the memory that it is in
    del parts
    assert references(decoder) == idle


def test_a_stream_ends_behind_its_one_array_and_may_be_left_unread() -> None:
    table = trades()
    reader = pa.RecordBatchReader.from_stream(table)
    assert reader.schema == pa.schema(table)
    assert [batch.num_rows for batch in reader] == [3]
    left = pa.RecordBatchReader.from_stream(table)
    del left
    gc.collect()


def test_a_capsule_is_named_as_the_protocol_says() -> None:
    name_of = ctypes.pythonapi.PyCapsule_GetName
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    table = trades()
    names = [name_of(capsule) for capsule in (*table.__arrow_c_array__(), table.__arrow_c_stream__())]
    assert names == [b"arrow_schema", b"arrow_array", b"arrow_array_stream"]
