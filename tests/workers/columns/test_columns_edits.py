"""Records that are one edit away from a record whose layout is known: what the fast path must see through.

All single edits are tried, not a sample: each place of a record, each character that means something.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from fractions import Fraction

import pytest
from columns_model import Other, Row, decoded, expected, framed
from test_columns_decoder import EVERYTHING, KINDS

from trade_balancer.columnar.batch import Why
from trade_balancer.columnar.decoder import Decoder, Vectors

pytestmark = pytest.mark.slow

KNOWN = [
    b'{"ev":"T","sym":"AAPL","i":"143541","x":4,"p":297.845,"s":40,"c":[14,37,41],"t":1781622376036,"pt":1781622376029,'
    b'"q":4938312,"z":3,"trfi":202,"trft":1781622376036,"ds":"40.0"}',
    b'{"ev":"T","sym":"","i":8310,"p":0.5,"x":0,"newer_member":"a;b","c":[],"new":[1],"s":12.0,"ds":"0.740474"}',
    b'{"ev":"Q","sym":"O:SPXW251208C06840000","c":1,"i":[604],"bp":297.8,"bs":80,"t":1577818659363}',
    b'{"ev":"A","sym":"FCX","v":4989,"av":4332125,"vw":78.0894,"o":78.1,"h":78.125,"s":1577818659000,"dv":"4989.0"}',
    b'{"ev":"LULD","h":3.63,"l":2.97,"i":[15],"z":3,"T":"ATHR","t":1788877046310003385,"q":3209681}',
    b'{"ev":"XQ","pair":"DOT-USD","lp":0,"bp":6.7818,"as":385.28012,"t":1706649628023}',
]
CHARACTERS = b'",:[]{}0129.-e\\ a\x1f\x80'


def edits(record: bytes) -> Iterator[bytes]:
    for at in range(len(record)):
        yield record[:at] + record[at + 1 :]
        for character in CHARACTERS:
            yield record[:at] + bytes([character]) + record[at:]
            yield record[:at] + bytes([character]) + record[at + 1 :]
        for length in (2, 3, 5, 8):
            yield record[:at] + record[at + length :]
            yield record[:at] + record[at : at + length] + record[at:]


def check(known: list[bytes], others: list[bytes], vectors: Vectors, names: list[str]) -> int:
    """Returns how many of the others took the fast path."""
    decoder = Decoder(names, vectors=vectors)
    assert all(isinstance(one, Row) for one in decoded(decoder, decoder.decode([framed(known)])))
    exact_before = decoder.counters().exact_total
    found = decoded(decoder, decoder.decode([framed(others)]))
    for record, one in zip(others, found, strict=True):
        assert one == expected(record, decoder.tables), record
    return len(others) - (decoder.counters().exact_total - exact_before)


@pytest.mark.parametrize("vectors", KINDS)
@pytest.mark.parametrize("number", range(len(KNOWN)))
def test_a_record_one_edit_away_is_what_it_is(number: int, vectors: Vectors) -> None:
    known = KNOWN[number]
    others = list(dict.fromkeys(edits(known)))
    for names in (EVERYTHING, ["sym", "T", "pair"]):  # the proof is of the whole record, whatever is wanted
        assert check([known], others, vectors, names) > 100


@pytest.mark.parametrize("vectors", KINDS)
def test_wherever_a_word_ends_the_proof_goes_on(vectors: Vectors) -> None:
    """Values of all lengths, so that each kind of value meets the end of a word of 64 bits in each of its places."""
    lengths = range(1, 70)
    records = [
        b'{"ev":"T","sym":"%s","p":1.25,"i":"%s","x":7,"c":[1,22],"ds":"3.5","q":12345678}'
        % (b"A" * left, b"9" * right)
        for left in lengths
        for right in (1, 2, 3, 40)
    ]
    assert check(records[:1], records, vectors, EVERYTHING) > len(records) * 0.9
    long_runs = [b'{"ev":"T","i":"%s"}' % (b"x" * run) for run in range(1, 238)]
    assert check(long_runs[:1], long_runs, vectors, ["i"]) == len(long_runs)
    check(long_runs[:1], [run + tail for run in long_runs for tail in (b'"', b'",', b'"}')], vectors, ["i"])
    check(long_runs[:1], [b'{"ev":"T","i":%s}' % (b"1" * run) for run in range(1, 240)], vectors, ["x"])


VALUES = [
    *(str(10**power) for power in range(25)),
    *(str(10**power - 1) for power in range(1, 25)),
    *("9" * 9 + "." + "9" * places for places in range(1, 12)),
    *("0." + "0" * zeros + "123" for zeros in range(1, 20)),
    *(str(2**power + off) for power in (8, 15, 16, 31, 32, 53, 62, 63, 64) for off in (-1, 0, 1)),
    "00", "01", "00.5", "-1", "-0", "0.0", "1.", ".5", "1.5.5", "1e5", "1E-5", "1e400", "+", "-", "0x1", "NaN", "tru",
    "Infinity", "true", "false", "null", "[]", "[1]", "[0]", "[01]", "[1,2,3,4,5,6]", "[12345,1]", "[9999,10000]",
    "[123456789]", "[2147483647]", "[2147483648]", "[99999999999]", "[1,]", "[,1]", "[1,,2]", "[1] ]", "[[1]]", "[1.5]",
    "[-1]", "[null]", "[1,null]", "{}", '{"a":1}', "[1", "[", "]",
    *map(json.dumps, ["", "A", "1", "1.5", "01", "1.", ".5", "1e5", "-1", "1.5.5", "a,0", ":", "\u00e9", "\\"]),
    '"a""b"', '"a"1', '1"a"', '"a', 'a"', '"\t"', '"\\u0031"', "1 ", " 1", "",
]  # fmt: skip


@pytest.mark.parametrize("vectors", KINDS)
@pytest.mark.parametrize("number", range(len(KNOWN)))
def test_each_member_has_each_kind_of_value(number: int, vectors: Vectors) -> None:
    """Also last in the record, where no comma follows."""
    members = re.findall(rb'("\w+"):(\[.*?\]|"[^"]*"|[^,}]+)', KNOWN[number])
    known, others = [KNOWN[number]], []
    for at in range(1, len(members)):
        before, (name, usual), behind = members[:at], members[at], members[at + 1 :]
        known.append(_object([*before, *behind, (name, usual)]))
        for value in map(str.encode, VALUES):
            others += [_object([*before, (name, value), *behind]), _object([*before, *behind, (name, value)])]
    assert check(known, others, vectors, EVERYTHING) > 100


def _object(members: list[tuple[bytes, bytes]]) -> bytes:
    return b"{" + b",".join(name + b":" + value for name, value in members) + b"}"


@pytest.mark.parametrize("vectors", KINDS)
def test_a_number_is_the_double_nearest_to_it(vectors: Vectors) -> None:
    """Numbers in the middle between two doubles, and next to it: the hardest to round."""
    texts = ["2.2250738585072011e-308", "2.2250738585072014e-308", "4.9406564584124654e-324", "2.4703282292062327e-324"]
    texts += ["2.4703282292062328e-324", "1.7976931348623157e308", "1.7976931348623158e308", "1.7976931348623159e308"]
    for bits in (
        1,
        2,
        2**52 - 1,
        2**52,
        0x3FF0000000000000,
        0x3FF0000000000001,
        0x4340000000000001,
        0x7FEFFFFFFFFFFFFE,
    ):
        low, high = struct.unpack("<2d", struct.pack("<2Q", bits, bits + 1))
        middle = _middle(low, high)
        texts += [middle, middle + "0" * 30 + "1" if "." in middle else middle + ".000001", _below(middle)]
    check([b'{"ev":"T","p":1.5}'], [b'{"ev":"T","p":%s}' % text.encode() for text in texts], vectors, ["p"])


def _middle(low: float, high: float) -> str:
    middle = (Fraction(low) + Fraction(high)) / 2
    power = middle.denominator.bit_length() - 1
    digits = str(middle.numerator * 5**power).rjust(power + 1, "0")
    return f"{digits[: len(digits) - power]}.{digits[len(digits) - power :]}" if power else digits


def _below(text: str) -> str:
    return text[:-1] + str(int(text[-1]) - 1) + "9" if text[-1] != "0" else text


def test_a_repeated_name_is_never_a_layout() -> None:
    repeated = b'{"ev":"T","x":1,"x":2}'
    decoder = Decoder(["x"])
    for _ in range(3):
        assert decoded(decoder, decoder.decode([framed([repeated] * 20)])) == [Row("T", (2,))] * 20
    assert decoder.counters().layouts_total == 0


def test_more_layouts_than_are_kept_only_cost_time() -> None:
    names = [b"n" + b"abcdefghij"[number % 10 :][:1] * (number // 10 + 1) for number in range(200)]
    records = [b'{"ev":"T","x":%d,"%s":1}' % (number, name) for number, name in enumerate(names)]
    decoder = Decoder(["x"])
    for _ in range(2):
        assert decoded(decoder, decoder.decode([framed(records)])) == [Row("T", (number,)) for number in range(200)]


def test_records_of_known_layouts_take_the_fast_path() -> None:
    decoder = Decoder()
    for _ in range(3):
        decoded(decoder, decoder.decode([framed(KNOWN * 30)]))
    counters = decoder.counters()
    assert (counters.layouts_total, counters.exact_total) == (len(KNOWN), len(KNOWN))
    assert counters.records_total == 90 * len(KNOWN)


def test_what_the_fast_path_leaves_is_counted() -> None:
    decoder = Decoder(["p"], ["T"])
    stream = [b'{"ev":"T","p":1}', b'{"ev":"T","p":"dear"}', b'{"ev":"Q"}', b"no", b'{"ev":"T","p":-1}']
    assert [one.why for one in decoded(decoder, decoder.decode([framed(stream)])) if isinstance(one, Other)] == [
        Why.MISFIT, Why.OTHER_EVENT, Why.BAD,
    ]  # fmt: skip
    counters = decoder.counters()
    assert (counters.others_total, counters.misfit_total, counters.bad_total) == (3, 1, 1)
    assert counters.record_bytes_total == sum(map(len, stream))
