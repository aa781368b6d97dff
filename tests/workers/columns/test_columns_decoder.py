"""The decoder against its model: any JSON, and what is nearly JSON, in any layout."""

from __future__ import annotations

import json
from collections.abc import Sequence

from columns_model import Other, decoded, expected, framed
from hypothesis import given
from hypothesis import strategies as st

from trade_balancer.columnar.decoder import Decoder, Vectors
from trade_balancer.columnar.events import EVENTS, EXACT, Kind

EXACT_NAMES = [column.name + EXACT for columns in EVENTS.values() for column in columns if column.kind is Kind.DECIMAL]
EVERYTHING = [*dict.fromkeys([column.name for columns in EVENTS.values() for column in columns] + EXACT_NAMES)]
KINDS = [vectors for vectors in Vectors if Decoder(vectors=vectors).vectors is vectors]

digits = st.text("0123456789", min_size=1, max_size=25)
raw_numbers = st.one_of(
    st.integers(-(2**64), 2**64).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(0, 10_000, places=4).map(str),
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["", "-"]),
        st.integers(0, 10**25).map(str),
        st.just("") | digits.map(".{}".format),
        st.just("") | st.builds("{}{}{}".format, st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), digits),
    ),
    st.sampled_from(
        ["0", "-0", "0.0", "-0.0", "9007199254740993", "1e22", "1e23", "8.5e-46", "5e-324", "2e-324", "1.8e308",
         "1e309", "1e400", "0e400", "1e-400", "4.522e-05", "12.0", "1e3", "9223372036854775807", "9223372036854775808",
         "-9223372036854775808", "18446744073709551616", "2147483648", "-2147483649", "123456789012345678e1",
         "0e-2000000000000000000", "1e-2000000000000000000", "0e99999999999999999999", "1e99999999999999999999"]
    ),
)  # fmt: skip
raw_strings = st.one_of(
    st.text(max_size=12).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.text(max_size=12).map(json.dumps),
    st.text("ABC.-:/", min_size=1, max_size=30).map('"{}"'.format),
    raw_numbers.map('"{}"'.format),
    st.sampled_from(
        ['"\\u0041\\/"', '"\\ud83d\\ude00"', '"\\ud800"', '"a\\"b"', '"\x01"', '"\\x"', '","', '":"', '""']
    ),
)
raw_scalars = raw_numbers | raw_strings | st.sampled_from(["true", "false", "null", "NaN", "nul", "", "-", "01", "1."])
raw_values = st.recursive(
    raw_scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
        st.lists(st.tuples(raw_strings, inner), max_size=3).map(
            lambda members: f"{{{','.join(f'{name}:{value}' for name, value in members)}}}"
        ),
    ),
    max_leaves=5,
)
gaps = st.sampled_from(["", "", "", "", " ", "\n\t"])

fitting = {
    Kind.SYMBOL: st.text("ABC.pD:", max_size=20).map('"{}"'.format),
    Kind.TEXT: st.text("0123456789AB-", max_size=40).map('"{}"'.format) | st.integers(0, 10**16).map(str),
    Kind.INT32: st.integers(0, 500).map(str),
    Kind.INT64: st.integers(0, 10**17).map(str),
    Kind.TIME_MS: st.integers(1577818283019, 1881622376036).map(str),
    Kind.TIME_NS: st.integers(10**18, 2 * 10**18).map(str),
    Kind.DECIMAL: st.decimals(0, 10**6, places=3).map(str)
    | st.decimals(0, 10**11, places=6).map('"{}"'.format)
    | st.integers(0, 10**10).map(str),
    Kind.INTS: st.lists(st.integers(0, 300), max_size=5).map(lambda items: json.dumps(items, separators=(",", ":"))),
    Kind.BOOL: st.sampled_from(["true", "false"]),
}


def object_of(members: Sequence[tuple[str, str]], gap: str = "") -> bytes:
    inside = f"{gap},{gap}".join(f"{name}{gap}:{gap}{value}" for name, value in members)
    return f"{gap}{{{gap}{inside}{gap}}}".encode()


@st.composite
def usual_records(draw: st.DrawFn) -> bytes:
    """As the feed sends them: event first, members in order, some left out, perhaps a new one; values that fit."""
    event = draw(st.sampled_from(list(EVENTS)))
    members = [("ev", f'"{event}"')]
    left_out = draw(st.sets(st.sampled_from([column.name for column in EVENTS[event]]), max_size=3))
    for column in EVENTS[event]:
        if column.name not in left_out:
            members.append((column.name, draw(fitting[column.kind])))
    if draw(st.booleans()):
        at = draw(st.integers(1, len(members)))
        new = st.sampled_from(["new", "newer_member", "x_", "ev2"])
        members.insert(at, draw(st.tuples(new, raw_numbers | raw_strings)))
    return object_of([(f'"{name}"', value) for name, value in members])


@st.composite
def strange_records(draw: st.DrawFn) -> bytes:
    """Objects with anything in them, in any order; names twice, escaped, unknown; white space; perhaps no JSON."""
    event = draw(st.sampled_from(list(EVENTS)))
    names = st.sampled_from([column.name for column in EVENTS[event]]).map(json.dumps) | raw_strings
    names |= st.sampled_from(['"\\u0065v"', '"\\u0070"', '"p\\u0000"'])
    of_kind = [st.tuples(st.just(f'"{column.name}"'), fitting[column.kind] | raw_numbers) for column in EVENTS[event]]
    members = draw(st.lists(st.one_of(st.tuples(names, raw_values), *of_kind), max_size=8))
    events = st.sampled_from([f'"{event}"', f'"{event}"', '"lagg"', '"\\u0054"', "1", "null"])
    members += draw(st.lists(st.tuples(st.just('"ev"'), events), min_size=1, max_size=2))
    return object_of(draw(st.permutations(members)), draw(gaps))


@st.composite
def broken_records(draw: st.DrawFn) -> list[bytes]:
    """A usual record, so that its layout is known, and others that differ from it in a few bytes."""
    record = draw(usual_records())
    broken = [record, record]
    for _ in range(draw(st.integers(1, 4))):
        text = bytearray(record)
        for _ in range(draw(st.integers(1, 2))):
            at = draw(st.integers(0, len(text) - 1))
            what = draw(st.sampled_from(["replace", "insert", "delete", "double"]))
            piece = draw(
                st.sampled_from(list(b'",:[]{}01.-e\\ ')).map(lambda byte: bytes([byte]))
                | st.binary(min_size=1, max_size=2)
            )
            if what == "replace":
                text[at : at + len(piece)] = piece
            elif what == "insert":
                text[at:at] = piece
            elif what == "delete":
                del text[at : at + 1]
            else:
                text[at:at] = text[at : at + draw(st.integers(1, 12))]
        broken.append(bytes(text))
    return broken


records = st.one_of(
    usual_records().map(lambda record: [record]),
    strange_records().map(lambda record: [record]),
    broken_records(),
    (st.binary(max_size=30) | raw_values.map(str.encode)).map(lambda record: [record]),
)
streams = st.lists(records, max_size=12).map(lambda groups: [record for group in groups for record in group])
choices = st.just(EVERYTHING) | st.lists(st.sampled_from(EVERYTHING), min_size=1, max_size=6, unique=True)


def check(stream: Sequence[bytes], names: Sequence[str]) -> None:
    """Twice: the second time the layouts are known, and records can take the fast path."""
    for vectors in KINDS:
        decoder = Decoder(names, vectors=vectors)
        wanted = [expected(record, decoder.tables) for record in stream]
        for times in (1, 2):
            assert decoded(decoder, decoder.decode([framed(stream)])) == wanted, vectors
            counters = decoder.counters()
            others = [one for one in wanted if isinstance(one, Other)]
            assert (counters.records_total, counters.others_total) == (times * len(stream), times * len(others))


@given(streams, choices)
def test_any_records_are_decoded_as_the_model_says(stream: list[bytes], names: list[str]) -> None:
    check(stream, names)


@given(broken_records(), choices)
def test_a_record_that_is_nearly_one_of_a_known_layout_is_seen_through(stream: list[bytes], names: list[str]) -> None:
    check(stream, names)
