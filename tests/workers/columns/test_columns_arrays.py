"""Columns as NumPy arrays: types, values, and whose memory they look into."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from columns_model import framed

from trade_balancer.columnar.decoder import Decoder
from trade_balancer.columnar.tables import Table

RECORDS = [
    b'{"ev":"T","sym":"AAPL","i":"143541","x":4,"p":297.845,"s":40,"t":1781622376036,"pt":1781622376029,'
    b'"q":4938312,"z":3,"trfi":202,"trft":1781622376036,"ds":"40.0"}',
    b'{"ev":"T","sym":"MSFT","i":8310,"x":4,"p":156.9799,"s":3,"c":[37],"t":1577818283019,"z":3}',
    b'{"ev":"T","sym":"AAPL","x":12,"p":1e-3,"s":0,"c":[14,37,41],"t":1577818283019,"ds":"0.740474"}',
]


def trades(*names: str, records: Sequence[bytes] = RECORDS) -> Table:
    (batch,) = Decoder(names, ["T"]).decode([framed(records)])
    return batch["T"]


def test_each_kind_of_column_has_its_type_and_values() -> None:
    table = trades()
    assert len(table) == 3
    expected: dict[str, tuple[type, list[Any]]] = {
        "sym": (np.int32, [1, 2, 1]),
        "x": (np.int32, [4, 4, 12]),
        "p": (np.float64, [297.845, 156.9799, 0.001]),
        "s": (np.float64, [40, 3, 0]),
        "t": (np.int64, [1781622376036, 1577818283019, 1577818283019]),
        "q": (np.int64, [4938312, 0, 0]),
        "trfi": (np.int32, [202, 0, 0]),
    }
    for name, (dtype, values) in expected.items():
        assert table[name].dtype == dtype
        assert table[name].tolist() == values
    assert [table.symbols[code] for code in table["sym"]] == ["AAPL", "MSFT", "AAPL"]
    assert list(table["i"]) == ["143541", "8310", ""]
    assert [items.tolist() for items in table["c"]] == [[], [37], [14, 37, 41]]
    np.testing.assert_array_equal(table["ds"], [40, np.nan, 0.740474])
    assert (table.unit("t"), table.unit("q")) == ("ms", None)


def test_nulls_are_told() -> None:
    table = trades()
    assert table.valid("sym") is None
    assert table.valid("c").tolist() == [False, True, True]
    assert table.valid("trft").tolist() == [True, False, False]
    assert [table.nulls(name) for name in ("sym", "c", "i", "q")] == [0, 1, 1, 2]


def test_exact_values_are_exact() -> None:
    table = trades("ds.exact", "p.exact")
    assert table.names == ("ds.exact", "p.exact")
    assert list(table["p.exact"]) == [Decimal("297.845"), Decimal("156.9799"), Decimal("0.001")]
    assert table["ds.exact"].mantissas.tolist() == [400, 0, 740474]
    assert table["ds.exact"].exponents.tolist() == [-1, 0, -6]
    assert str(table["ds.exact"][-1]) == "0.740474"


def test_texts_and_lists_are_sequences() -> None:
    table = trades("i", "c")
    assert (table["i"][-2], table["i"][:2]) == ("8310", ["143541", "8310"])
    assert [items.tolist() for items in table["c"][1:]] == [[37], [14, 37, 41]]
    for column in (table["i"], table["c"]):
        with pytest.raises(IndexError):
            column[3]


def test_views_can_not_be_written_to_and_outlive_all_that_made_them() -> None:
    table = trades()
    prices, conditions, ids = table["p"], table["c"], table["i"]
    assert not prices.flags.writeable
    assert not prices.flags.owndata
    del table
    gc.collect()
    for _ in range(20):  # others would get the memory, if it were free
        trades(records=[RECORDS[0].replace(b"297.845", b"111.111")] * 3)
    assert prices.tolist() == [297.845, 156.9799, 0.001]
    assert conditions[2].tolist() == [14, 37, 41]
    assert ids[0] == "143541"


def test_memory_is_used_again_once_nothing_refers_to_it() -> None:
    decoder = Decoder()
    kept: list[Any] = []
    places = set()
    for keeps in [False] * 50 + [True] * 10:
        (batch,) = decoder.decode([framed(RECORDS)])
        prices = batch["T"]["p"]
        places.add(prices.ctypes.data)
        if keeps:
            kept.append(prices)
        del batch, prices
    assert len(places) <= 12
    assert len({prices.ctypes.data for prices in kept}) == 10
    assert all(prices.tolist() == [297.845, 156.9799, 0.001] for prices in kept)


def test_a_column_that_is_not_there_is_an_error_that_names_those_that_are() -> None:
    (batch,) = Decoder(["sym", "p"], ["T"]).decode([framed(RECORDS)])
    with pytest.raises(KeyError, match="t: T was decoded into sym, p"):
        batch["T"]["t"]
    with pytest.raises(KeyError, match="Q"):
        batch["Q"]
    with pytest.raises(KeyError, match="sym: a column of SYMBOL has no more than its values"):
        batch["T"].more("sym")


WITHOUT_NUMPY = """
import sys
sys.modules["numpy"] = None
import trade_balancer
from trade_balancer.columnar.decoder import Decoder
record = b'{"ev":"T","sym":"AAPL","p":297.845,"t":1}'
(batch,) = Decoder(["p"]).decode([len(record).to_bytes(4, "little") + record])
print(batch["T"].view("p").tolist())
try:
    batch["T"]["p"]
except trade_balancer.WorkerError as error:
    print(error)
"""


def test_without_numpy_there_are_memoryviews_and_one_clear_sentence() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_NUMPY], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "[297.845]",
        "a column as an array needs the package numpy: pip install 'trade-balancer[columns]'",
    ]


def test_the_sdk_alone_imports_neither_numpy_nor_the_c_module() -> None:
    code = "import sys, trade_balancer; print(*(name for name in sys.modules if name.endswith(('numpy', '_columns'))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
