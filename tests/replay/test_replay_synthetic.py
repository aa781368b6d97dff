"""The synthetic market is what its description says, and the same everywhere."""

import hashlib
import re
from collections import Counter

import pytest

from lb.replay.errors import UsageError
from lb.replay.synthetic import BLOCK_RECORDS, Layout, synthetic_market
from lb.replay.tape import Tape, records_of

PATTERNS = {
    Layout.OF_2026: rb'\{"ev":"T","sym":"[A-Za-z.]+","i":"\d+","x":\d+,"p":\d+(\.\d{1,4})?,"s":\d+,("c":\[[\d,]+\],)?'
    rb'"t":\d{13},"pt":\d{13},"q":\d+,"z":[123](,"trfi":20[123],"trft":\d{13})?,"ds":"\d+\.\d+"\}',
    Layout.OF_2022: rb'\{"ev":"T","sym":"[A-Za-z.]+","i":"\d+","x":\d+,"p":\d+(\.\d{1,4})?,"s":\d+,("c":\[[\d,]+\],)?'
    rb'"t":\d{13},"q":\d+,"z":[123]\}',
}


def digest(tape: Tape) -> str:
    return hashlib.sha256(b"\n".join(tape.messages) + repr(list(tape.due_ns)).encode()).hexdigest()


def test_the_same_seed_gives_the_same_bytes_on_every_machine() -> None:
    assert (
        digest(synthetic_market(seed=7, records=5_000))
        == "42d1559734a751d256fe88e7a8cea25958ac6c76fd71b46f929f83be606feaa1"
    )
    assert digest(synthetic_market(seed=8, records=5_000)) != digest(synthetic_market(seed=7, records=5_000))


@pytest.mark.parametrize(("layout", "mean_bytes"), [(Layout.OF_2026, 160), (Layout.OF_2022, 112)])
def test_layouts(layout: Layout, mean_bytes: int) -> None:
    tape = synthetic_market(layout=layout)
    records = [text for message in tape.messages for text, _ in records_of(message)]
    assert len(records) == tape.record_count == BLOCK_RECORDS
    assert round(sum(map(len, records)) / len(records)) == pytest.approx(mean_bytes, abs=1)
    assert all(re.fullmatch(PATTERNS[layout], text) for text in records)


def test_a_few_symbols_have_most_of_the_trades() -> None:
    records = [value for message in synthetic_market().messages for _, value in records_of(message)]
    counts = Counter(value["sym"] for value in records)
    assert len(counts) > 4_000
    assert sum(count for _, count in counts.most_common(100)) == pytest.approx(len(records) / 2, rel=0.1)


def test_rate_order_and_batches() -> None:
    tape = synthetic_market(rate=2_000, records=20_000)
    assert tape.duration_ns == 10 * 10**9
    assert list(tape.due_ns) == sorted(tape.due_ns)
    assert tape.due_ns[-1] < tape.duration_ns
    sizes = [len(records_of(message)) for message in tape.messages]
    assert min(sizes) == 1
    assert 10 < max(sizes) <= 500
    behind = synthetic_market(rate=2_000, records=20_000, behind=True)
    assert b",".join(text[1:-1] for text in behind.messages) == b",".join(text[1:-1] for text in tape.messages)
    assert len(behind.messages) < len(tape.messages) / 2


@pytest.mark.parametrize("rate", [0, -1, 1.1e8, float("nan")])
def test_bad_rates_are_refused(rate: float) -> None:
    with pytest.raises(UsageError, match="records/s is not above 0 and at most 1e"):
        synthetic_market(rate=rate)
