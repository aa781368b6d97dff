"""Typed objects against dicts: every member of the wire, in its place."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from feeding import run_worker
from harness.fixtures import data
from hypothesis import given
from hypothesis import strategies as st

from trade_balancer import typed

__all__ = ["data"]

CLASSES = [value for value in vars(typed).values() if isinstance(value, type) and issubclass(value, msgspec.Struct)][
    1:
]  # the first is Struct itself

# One of each event, as seen on the wire, or else as documented.
SAMPLES = rb"""
{"ev":"T","sym":"MSFT","i":8310,"x":4,"p":156.9799,"s":3,"c":[37],"t":1577818283019,"z":3}
{"ev":"T","sym":"AAPL","i":"143541","x":4,"p":297.845,"s":40,"t":1781622376036,"pt":1781622376029,"q":4938312,"z":3,"trfi":202,"trft":1781622376036,"ds":"40.0"}
{"ev":"T","sym":"O:SPXW251208C06840000","x":302,"p":5.5,"s":1,"c":[236],"t":1765227583506,"q":1864261653}
{"ev":"Q","sym":"UFO","c":1,"bx":8,"ax":12,"bp":26.4,"ap":26.47,"bs":1,"as":3,"t":1577818659363,"z":3}
{"ev":"Q","sym":"AAPL","i":[604],"bx":15,"ax":12,"bp":297.83,"ap":297.86,"bs":80,"as":80,"t":1781622376036,"pt":1781622376029,"q":44424715,"z":3}
{"ev":"Q","sym":"AAPL","ax":12,"ap":297.86,"as":80,"t":1781622376036}
{"ev":"Q","sym":"ESU6","bp":1,"bs":2,"bt":1781622376036,"ap":3,"as":4,"at":1781622376036,"t":1781622376037}
{"ev":"A","sym":"FCX","v":4989,"av":4332125,"op":75.98,"vw":78.0894,"o":78.1,"c":78.08,"h":78.125,"l":78.07,"a":76.8404,"z":62,"s":1788877046000,"e":1788877047000,"dv":"4989.0","dav":"4332125.038360","otc":true}
{"ev":"AM","sym":"I:SPX","op":3985.67,"o":3985.67,"c":3985.67,"h":3985.67,"l":3985.67,"s":1678220675805,"e":1678220675805}
{"ev":"LULD","h":3.63,"l":2.97,"i":[15],"z":3,"T":"ATHR","t":1788877046310003385,"q":3209681}
{"ev":"FMV","fmv":509.917,"sym":"MSFT","t":1760646477151120843}
{"ev":"NOI","T":"NTEST.Q","t":1601318039223013600,"at":930,"a":"M","i":44,"x":10,"o":480,"p":440,"b":25.03}
{"ev":"LV","val":189.22,"sym":"AAPL","t":1678220098130}
{"ev":"V","val":3988.5,"T":"I:SPX","t":1678220098130}
{"ev":"C","p":"EUR/USD","a":1.1,"b":1.09,"x":48,"t":1678220098130}
{"ev":"CA","pair":"USD/EUR","o":0.8687,"c":0.86889,"h":0.86889,"l":0.8686,"v":20,"s":1539145740000}
{"ev":"CAS","pair":"USD/EUR","o":0.8687,"c":0.86889,"h":0.86889,"l":0.8686,"v":20,"s":1539145740000,"e":1539145741000}
{"ev":"XT","pair":"BTC-USD","p":43575.6,"t":1706649628023,"s":4.522e-05,"c":[2],"i":"1b254a48","x":23,"r":1706649628068}
{"ev":"XQ","pair":"DOT-USD","lp":0,"ls":0,"bp":6.7818,"bs":14.22,"ap":6.7819,"as":385.28012,"t":1706649628023,"x":23,"r":1706649628068}
{"ev":"XL2","pair":"BTC-USD","t":1,"r":2,"x":3,"b":[[43575.6,0.5],[43575,1]],"a":[]}
{"ev":"XA","pair":"BCD-USD","v":951.6112,"vw":0.7756,"z":73,"o":0.772,"c":0.784,"h":0.784,"l":0.771,"s":1610463240000,"e":1610463300000}
{"ev":"XAS","pair":"BCD-USD","v":951.6112,"vw":0.7756,"z":73,"o":0.772,"c":0.784,"h":0.784,"l":0.771,"s":1610463240000,"e":1610463300000}
""".split(b"\n")[1:-1]  # fmt: skip


def members(event: object) -> dict[str, Any]:
    """Of a Struct, by the names of the wire, without those that are as if they had not been there."""
    kind = type(event)
    names = {field.encode_name: getattr(event, field.name) for field in msgspec.structs.fields(kind)}  # type: ignore[type-var]
    defaults = {field.encode_name: field.default for field in msgspec.structs.fields(kind)}  # type: ignore[type-var]
    given = {name: value for name, value in names.items() if value != defaults[name]}
    return {"ev": kind.__struct_config__.tag} | given  # type: ignore[attr-defined]


def tuples(value: object) -> object:
    return tuple(map(tuples, value)) if isinstance(value, list) else value


@pytest.mark.parametrize("record", SAMPLES, ids=lambda record: record[7 : record.index(b'"', 7)].decode())
def test_every_member_of_the_wire_is_in_its_place(record: bytes) -> None:
    decoded = {name: tuples(value) for name, value in orjson.loads(record).items() if value != []}
    assert members(typed.decode(record)) == decoded


def test_every_class_has_its_sample() -> None:
    assert {type(typed.decode(record)) for record in SAMPLES} == set(typed.Event.__args__)
    bases = {typed.Aggregate, typed.CurrencyAggregate}
    assert set(typed.Event.__args__) | bases == set(CLASSES)
    assert set(typed.__all__) == {kind.__name__ for kind in CLASSES} | {"Event", "decode"}


def test_the_recordings_are_typed_without_a_rest(data: Path) -> None:
    for line in (data / "polygon_wire_samples.jsonl").read_bytes().splitlines():
        for record in orjson.loads(line):
            event = typed.decode(orjson.dumps(record))
            if record["ev"] == "status":
                assert event == record
            else:
                assert members(event) == {name: tuples(value) for name, value in record.items()}


@pytest.mark.parametrize("kind", CLASSES)
def test_every_member_is_documented_with_its_source(kind: type[msgspec.Struct]) -> None:
    text = re.sub(r"\n +", " ", inspect.cleandoc(kind.__doc__ or ""))
    described: set[str] = set()
    for line in text.splitlines()[1:]:
        if line:
            names, _, meaning = re.sub(r" \(on the wire: \w+\)", "", line).partition(": ")
            assert re.search(r"\w.* \[(D|W|D, W)\]$", meaning), line
            described |= set(names.split(", "))
    inherited = set(getattr(kind.__bases__[0], "__struct_fields__", ()))
    assert described == set(kind.__struct_fields__) - inherited


@given(
    st.dictionaries(
        st.sampled_from(["ev", "sym", "p", "s", "t", "x", "i", "c", "pair", "T", "val", "new"]),
        st.sampled_from(["T", "Q", "V", "XT", "lagg", None, True, 1, 1.5, [1], ["a"], {"b": 1}]),
    )
)
def test_what_no_class_describes_comes_as_a_dict(record: dict[str, object]) -> None:
    event = typed.decode(orjson.dumps(record))
    if isinstance(event, dict):
        assert event == record
    else:
        known = {field.encode_name for field in msgspec.structs.fields(type(event))} | {"ev"}
        assert members(event).items() <= {name: tuples(value) for name, value in record.items()}.items()
        assert {name for name in known & record.keys() if record[name] is not None} == members(event).keys()


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"7", b'"T"', b"null", b'{"ev":"T","p":NaN}'])
def test_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - what it says is the decoder's
        typed.decode(text)


@pytest.mark.parametrize("wanted", ["from trade_balancer import Trade", "import trade_balancer.typed"])
def test_a_missing_extra_is_one_clear_sentence(wanted: str) -> None:
    code = f"import sys; sys.modules['msgspec'] = None\nimport trade_balancer, workers\nprint('works')\n{wanted}"
    ended = run_worker(["-c", code], [])
    assert (ended.code, ended.out) == (1, "works\n")
    told = "trade_balancer.typed needs the package msgspec: pip install 'trade-balancer[typed]'"
    assert ended.err.splitlines()[-1] == f"trade_balancer.errors.MissingExtraError: {told}"
    assert "ModuleNotFoundError" not in ended.err
