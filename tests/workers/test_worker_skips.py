"""Records that are no JSON objects, and handlers that fail: what follows, what is shown, what is counted."""

from __future__ import annotations

import textwrap
from pathlib import Path

import orjson
import pytest
from feeding import Finished, framed, pipes_with, run_worker
from hypothesis import given
from hypothesis import strategies as st

from trade_balancer import OnError, Totals, run
from trade_balancer.skips import SHOWN_BYTES, Skips

good_records = st.integers(0, 99).map(lambda number: b'{"n":%d}' % number)
bad_records = st.sampled_from([b"", b"{", b"[1]", b"7", b"null", b'{"p":NaN}', b'{"n":1}{"n":2}', b"\xff"])


def ended(directory: Path, call: str, *streams: bytes) -> Finished:
    """A worker that prints each record's n and fails on 13."""
    script = directory / "worker.py"
    script.write_text(
        textwrap.dedent("""\
            import sys
            from trade_balancer import run
            def on_record(record: dict, fd: int) -> None:
                assert record["n"] != 13, "unlucky"
                print(record["n"])
            def on_batch(records: list[dict], fd: int) -> None:
                for record in records:
                    on_record(record, fd)
            totals = """)
        + f"{call}\nprint(totals)\n"
    )
    return run_worker([script], streams)


def numbered(*numbers: int) -> list[bytes]:
    return [b'{"n":%d}' % number for number in numbers]


ONE_SKIPPED = "1000 records, 1 of them skipped: 1 undecodable, 0 by failures of the handler"


@given(st.lists(st.lists(good_records | bad_records), min_size=1, max_size=3), st.booleans())
def test_any_mix_of_records_gives_the_good_ones_in_order_and_counts_the_others(
    streams: list[list[bytes]], batch: bool
) -> None:
    expected = [[orjson.loads(record) for record in records if _is_good(record)] for records in streams]
    records_total = sum(map(len, streams))
    with pipes_with([[framed(records)] for records in streams]) as fds:
        received: dict[int, list[object]] = {fd: [] for fd in fds}
        if batch:
            totals = run(lambda records, fd: received[fd].extend(records), fds, batch=True)
        else:
            totals = run(lambda record, fd: received[fd].append(record), fds)
    assert list(received.values()) == expected
    assert totals == Totals(records_total, undecodable=records_total - sum(map(len, expected)))


def _is_good(record: bytes) -> bool:
    try:
        return isinstance(orjson.loads(record), dict)
    except orjson.JSONDecodeError:
        return False


@pytest.mark.parametrize(
    "call", ["run(on_record{})", "run(on_batch, batch=True{})", "run(on_record, processes=True{})"]
)
def test_a_poison_record_takes_no_other_with_it(call: str, tmp_path: Path) -> None:
    """By default the worker goes on; with "raise" it ends, but not before it has handled all others of the read."""
    stream = framed([*numbered(*range(20, 120)), b'["NaN"]', *numbered(*range(120, 1019))])
    told = "record of 7 bytes is a JSON list, not an object: '[\"NaN\"]'"
    end = ended(tmp_path, call.format(""), stream)
    assert end.code == 0
    assert end.out.split("\n")[:999] == [str(number) for number in range(20, 1019)]
    assert end.out.endswith(f"\n{ONE_SKIPPED}\n")
    assert end.err.splitlines() == [f"worker.py: fd {end.fds[0]}: {told}; skipped", f"worker.py: {ONE_SKIPPED}"]
    end = ended(tmp_path, call.format(', on_error="raise"'), stream)
    assert (end.code, len(end.out.splitlines())) == (65, 999)
    assert end.err.startswith(f"worker.py: fd {end.fds[0]}: {told}\n")


@pytest.mark.parametrize("on_error", ["", ', on_error="raise"'])
def test_a_handler_that_fails_ends_the_worker_and_its_traceback_tells_record_and_loss(
    on_error: str, tmp_path: Path
) -> None:
    end = ended(tmp_path, f"run(on_record{on_error})", framed(numbered(1, 2, 13, 4, 5)))
    assert (end.code, end.out) == (1, "1\n2\n")
    assert end.err.splitlines()[-2:] == [
        "AssertionError: unlucky",
        f"fd {end.fds[0]}: the handler failed on a record of 8 bytes: '{{\"n\":13}}'; "
        "2 more records of this read are not handled",
    ]
    end = ended(tmp_path, f"run(on_batch, batch=True{on_error})", framed(numbered(1, 2, 13, 4, 5)))
    assert (end.code, end.out) == (1, "1\n2\n")
    assert f"fd {end.fds[0]}: the handler failed on 5 records, the first: '{{\"n\":1}}'; 0 more" in end.err


@pytest.mark.parametrize("processes", ["", ", processes=True"])
def test_a_handler_that_fails_is_passed_over_where_that_is_asked_for(processes: str, tmp_path: Path) -> None:
    streams = framed([*numbered(1, 13, 3), b"bad", *numbered(13, 5)]), framed(numbered(6, 13))
    end = ended(tmp_path, f'run(on_record, on_error="skip"{processes})', *streams)
    assert end.code == 0
    assert sorted(end.out.split()[:4]) == ["1", "3", "5", "6"]
    assert end.out.endswith("8 records, 4 of them skipped: 1 undecodable, 3 by failures of the handler\n")
    assert end.err.count("the handler failed on a record of 8 bytes: '{\"n\":13}'; skipped\nTraceback (most") == 3
    assert end.err.count("AssertionError: unlucky") == 3
    assert end.err.count("3 by failures of the handler\n") == 1


@pytest.mark.parametrize("batch", [False, True])
def test_a_decoder_of_the_programs_own_says_what_it_can_not_decode(
    batch: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    received: list[int] = []
    with pipes_with([[framed([b"1", b"x", b"3"])]]) as (fd,):
        if batch:
            totals = run(lambda numbers, fd: received.extend(numbers), [fd], decode=int, batch=True)
        else:
            totals = run(lambda number, fd: received.append(number), [fd], decode=int)
    assert (received, totals) == ([1, 3], Totals(3, undecodable=1))
    told = "record of 1 bytes is not decodable (ValueError: invalid literal for int() with base 10: b'x'): 'x'"
    assert f"fd {fd}: {told}; skipped\n" in capsys.readouterr().err


def test_an_exit_is_no_failure(tmp_path: Path) -> None:
    end = ended(tmp_path, 'run(lambda record, fd: sys.exit(7), on_error="skip")', framed(numbered(1, 2)))
    assert (end.code, end.out, end.err) == (7, "", "")


def test_a_flood_is_counted_and_little_of_it_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Ten at once, then one a minute."""
    times_s = iter([1000.0] * 5000 + [1059.0, 1061.0, 1062.0, 1130.0])
    skips = Skips("skip", clock=lambda: next(times_s))
    for _ in range(5000):
        skips.undecodable(b"x" * 1000, 3, "bad")
    for _ in range(4):
        assert skips.failure(ValueError("v"), 3, 20, b"first", 0)
    assert (skips.undecodable_total, skips.failed_total) == (5000, 80)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[2] for line in lines[:10]] == [
        f"fd 3: record of 1000 bytes is bad: '{'x' * SHOWN_BYTES}'...; skipped"
    ] * 10
    assert len(lines) == 10 + 2 * 2
    assert [line.rpartition("(")[2] for line in lines[11::2]] == ["4991 others not shown)", "1 others not shown)"]


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_what_is_shown_is_printable(on_error: OnError, capsys: pytest.CaptureFixture[str]) -> None:
    skips = Skips(on_error)
    skips.undecodable(b"\x1b[2J\xff\n'", 3, "bad")
    text = capsys.readouterr().err
    if on_error == "raise":
        with pytest.raises(Exception, match="fd 3") as raised:
            skips.raise_fault()
        text = str(raised.value)
    assert "\\x1b[2J\\\\xff\\n" in text
    assert "\x1b" not in text
