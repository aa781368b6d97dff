"""A record is a transaction, or refused for a reason: in C, in Python and by Decimal the same, whatever its bytes."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_model import names, record_of, transactions
from model import pipe_of_key

from trade_balancer.ledger import _validation
from trade_balancer.ledger.sharding import Hash, murmur2, shard_of
from trade_balancer.ledger.transaction import Reason, text_of
from trade_balancer.ledger.validation import decode, decode_in_python, read

DEPOSIT = {"id": "1", "account": "ada", "kind": "deposit", "amount": "1.5", "time": 7}


def refusal(record: bytes) -> str | None:
    transaction = read(record)
    return None if transaction.kind > 0 else Reason(-transaction.kind).word


def changed(**members: Any) -> bytes:
    return json.dumps({**DEPOSIT, **members}).encode()


REFUSED = {
    "no-object": [
        b"",
        b"[]",
        b"7",
        b"null",
        b"{",
        b'{"id":"1"',
        b"\xff",
        b'{"id":"\xed\xa0\x80"}',
        b"{}x",
        b"[" * 9999,
    ],
    "repeated-member": [b'{"id":"1","id":"1"}', b'{"id":"1","i\\u0064":"2"}'],
    "bad-id": [
        b"{}",
        changed(id=1),
        changed(id=""),
        changed(id="x" * 65),
        changed(id="\u674e" * 22),
        changed(id="a\n"),
    ],
    "bad-account": [changed(account=None), changed(account=["a"]), changed(account="\x7f"), changed(account="\0")],
    "bad-kind": [changed(kind="Deposit"), changed(kind="credit"), changed(kind=1)],
    "bad-amount": [
        *(
            changed(amount=amount)
            for amount in ("NaN", "Infinity", "1,5", "+1", " 1", "1 ", "", ".5", "1.", "0x1", "01")
        ),
        *(changed(amount=amount) for amount in (None, True, [1], {}, "\u0661", "1e", "--1", "1_000")),
        b'{"id":"1","account":"a","kind":"deposit","time":1}',
    ],
    "no-object ": [changed(amount=float("nan")), changed(amount=float("inf")), changed(amount=0) + b"1"],
    "amount-not-positive": [
        changed(amount=amount) for amount in (0, -1, "-0", "0.000000000", "-1e-99", "0e99999", -(10**30))
    ],
    "amount-too-large": [
        *(changed(amount=amount) for amount in (10**30, "1e30", "10000000000.00000001", 10000000001, "9" * 5000)),
        *(changed(amount=amount) for amount in ("1e99999999999999999999", "10000000000." + "0" * 30 + "1", 2**63)),
    ],
    "amount-too-fine": [
        *(changed(amount=amount) for amount in ("0.000000001", "1.123456789", "1e-9", "0." + "0" * 40 + "1")),
        *(changed(amount=amount) for amount in ("1." + "1" * 5000, "1e-99999999999999999999", "9999999999.999999999")),
        *(changed(amount=amount) for amount in ("1." + "0" * 40 + "1", "0." + "123456789" * 4)),
    ],
    "amount-not-wanted": [b'{"id":"1","account":"a","kind":"dispute","of":"2","amount":1,"time":1}'],
    "bad-time": [changed(time=time) for time in (None, "7", -1, 1.0, 2**53 + 1, 10**30)],
    "bad-to": [changed(kind="transfer"), changed(kind="transfer", to="ada"), changed(kind="transfer", to=7)],
    "bad-of": [b'{"id":"1","account":"a","kind":"resolve","time":1}'],
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_hostile_record_is_refused_with_its_reason(reason: str) -> None:
    for record in REFUSED[reason]:
        assert refusal(record) == reason.strip(), record[:100]
        assert decode([record], 3) == decode_in_python([record], 3, False), record[:100]


TAKEN = {
    "1.5": 150_000_000, "0.00000001": 1, "1e3": 10**11, "10000000000": 10**18, "1.5000000000000000000000": 150_000_000,
    "15e-1": 150_000_000, "0.1e1": 10**8, "100000000000e-1": 10**18, "1E+2": 10**10,
}  # fmt: skip


@pytest.mark.parametrize("text", TAKEN)
def test_an_amount_is_exact_as_a_string_and_as_a_number(text: str) -> None:
    for record in (changed(amount=text), changed(amount="@").replace(b'"@"', text.encode())):
        assert read(record).amount == decode([record])[0][0][3] == TAKEN[text]
    assert Decimal(text_of(TAKEN[text])) == Decimal(text)


numbers = st.from_regex(r"\A-?[0-9]{1,25}(\.[0-9]{0,45})?([eE][+-]?[0-9]{1,4})?\Z") | st.text(max_size=5)
values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70) | numbers | names
values |= st.lists(values, max_size=2)


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """Of any shape: some are transactions but for a member or two."""
    members: dict[str, Any] = dict(draw(transactions()))
    for name in draw(
        st.lists(st.sampled_from(["id", "account", "kind", "amount", "time", "to", "of", "x"]), max_size=2)
    ):
        members[name] = draw(values)
    for name in draw(st.lists(st.sampled_from(list(members)), max_size=1)):
        del members[name]
    record = json.dumps(members, ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass")
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(record)))
        record = record[:at] + draw(st.binary(max_size=2)) + record[at + draw(st.integers(0, 2)) :]
    return record


@settings(max_examples=150)
@given(st.lists(records() | st.binary(max_size=30), max_size=8), st.integers(1, 9), st.sampled_from(Hash))
def test_c_and_python_agree(some: list[bytes], shards: int, how: Hash) -> None:
    found = _validation.decode(some, shards, how is Hash.MURMUR2)
    assert found == decode_in_python(some, shards, how is Hash.MURMUR2)
    assert sum(map(len, found)) == len(some)
    for shard, lists in enumerate(found):
        assert all(shard_of(one[1], shards, how) == shard for one in lists if one[1] is not None)


@settings(max_examples=100)
@given(numbers)
def test_an_amount_is_what_decimal_says_or_refused(text: str) -> None:
    record = changed(amount=text)
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    reason = refusal(record)
    if reason is None:
        assert Decimal(read(record).amount).scaleb(-8) == value
    elif reason == "amount-not-positive":
        assert value <= 0
    elif reason == "amount-too-large":
        assert value > 10**10
    elif reason == "amount-too-fine":
        assert 0 < value < 10**10
        assert value != value.quantize(Decimal("1e-8")) if value > Decimal("1e-9") else True
    else:
        assert reason == "bad-amount"


@settings(max_examples=50)
@given(transactions())
def test_a_valid_transaction_is_what_it_says(transaction: dict[str, Any]) -> None:
    found = read(record_of(transaction))
    assert (found.id, found.account, found.time) == (transaction["id"], transaction["account"], transaction["time"])
    assert found.other == transaction.get("to", transaction.get("of"))
    assert Decimal(found.amount).scaleb(-8) == Decimal(transaction.get("amount", 0))


def test_shards_are_those_of_kafka_s_partitions_and_of_lb_s_pipes() -> None:
    """Known values: of Kafka's own tests (UtilsTest.testMurmur2), and of the model of `lb --route key=`."""
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    known |= {
        b"a-little-bit-longer-string": -1486304829,
        b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    }
    assert all(murmur2(key) == value & 0xFFFFFFFF for key, value in known.items())
    assert all(shard_of(name, 7, Hash.FNV1A) == pipe_of_key(name.encode(), 7) for name in ("AAPL", "MSFT", "ada"))
