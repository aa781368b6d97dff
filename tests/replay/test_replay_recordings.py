"""`lb-replay` plays what `lb-record` has written, and tells what is in it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from feed_client import message
from harness import KEY, lb_environment, replay
from harness.joining import Joined
from hypothesis import given, settings
from hypothesis import strategies as st

from lb.replay import cli
from lb.replay.contents import Rates, contents_of
from lb.replay.errors import InputError
from lb.replay.files import read_tape
from lb.replay.selection import Begin, Selection
from trade_balancer.line_files import Rotation
from trade_balancer.recording.files import RecordingFiles, Settings
from trade_balancer.recording.reader import Recording

pytestmark = pytest.mark.slow

BEGIN_NS = 1_700_000_000_000_000_000
BEGIN_MS = BEGIN_NS // 10**6


def trade(number: int, time_ms: int = BEGIN_MS, symbol: str = "A") -> bytes:
    return b'{"ev":"T","sym":"%s","i":"%d","p":1.5,"s":1,"t":%d}' % (symbol.encode(), number, time_ms)


def recorded(folder: Path, batches: list[tuple[int, list[bytes]]], block_bytes: int = 100) -> Path:
    files = RecordingFiles(Settings(folder, "r", Rotation(0, 0), block_bytes=block_bytes, about={"feed": "ws://x"}))
    for time_ns, records in batches:
        frames = b"".join(len(record).to_bytes(4, "little") + record for record in records)
        files.add([memoryview(frames)], time_ns)
    files.close()
    (path,) = folder.iterdir()
    return path


def test_batches_are_messages_due_when_they_were_received(tmp_path: Path) -> None:
    batches = [(BEGIN_NS + 5 * number, [trade(2 * number), trade(2 * number + 1)]) for number in range(50)]
    tape = read_tape([recorded(tmp_path, batches)])
    assert tape.messages == [message(*records) for _, records in batches]
    assert list(tape.due_ns) == [5 * number for number in range(50)]


def test_by_t_each_run_of_one_time_is_a_message(tmp_path: Path) -> None:
    batches = [[trade(0, 7000), trade(1, 7000), trade(2, 7005)], [trade(3, 7005)]]
    path = recorded(tmp_path, [(BEGIN_NS, batch) for batch in batches])
    tape = read_tape([path], Selection(by="t"))
    assert tape.messages == [message(trade(0, 7000), trade(1, 7000)), message(trade(2, 7005)), message(trade(3, 7005))]
    assert list(tape.due_ns) == [0, 5_000_000, 5_000_000]


@pytest.mark.parametrize("by", ["received", "t"])
def test_it_begins_at_any_instant(by: str, tmp_path: Path) -> None:
    batches = [(BEGIN_NS + 10**9 * number, [trade(number, BEGIN_MS + 1000 * number)]) for number in range(20)]
    path = recorded(tmp_path, batches)
    for begin, first in [
        (Begin(BEGIN_NS + 7 * 10**9), 7),
        (Begin(BEGIN_NS + 7 * 10**9 + 1), 8),
        (Begin(0), 0),
        (Begin(5 * 10**9, is_offset=True), 5),
    ]:
        tape = read_tape([path], Selection(begin, by))  # type: ignore[arg-type]
        assert tape.messages == [message(*records) for _, records in batches[first:]]
        assert tape.due_ns[0] == 0
    with pytest.raises(InputError, match="the files end before"):
        read_tape([path], Selection(Begin(BEGIN_NS + 20 * 10**9), by))  # type: ignore[arg-type]


def test_what_can_not_be_played_is_left_out_and_told(tmp_path: Path) -> None:
    told: list[str] = []
    marker = b'{"ev":"lb","dropped":12}'
    batches = [[trade(0), marker, b"{bad}", trade(1)], [marker], [b""]]
    path = recorded(tmp_path, [(BEGIN_NS, batch) for batch in batches])
    content = path.read_bytes()
    torn = path.with_name(path.name + ".part")
    torn.write_bytes(content[:-10])
    tape = read_tape([torn], tell=told.append)
    assert tape.messages == [message(trade(0), trade(1))]
    assert re.match(r".*: damaged at byte \d+: .*; its last \d+ bytes are not read", told[0])
    assert told[1:] == [
        "the recording lacks 24 records, in 2 places: its recorder was too slow",
        "2 records are no JSON objects, and are left out",
    ]


def record_once(played: Path, folder: Path, socket: Path, count: int) -> Path:
    """lb-replay, lb, and lb-record, which alone wants the records: the feed begins when it is there."""
    folder.mkdir()
    balancer = [sys.executable, "-m", "lb", "--control", str(socket), "--linger", "0", KEY]
    recorder = [sys.executable, "-m", "trade_balancer.record", str(socket), "T.*", "--directory", str(folder)]
    recorder += ["--block-bytes", "30000"]
    with (
        replay("--speed", "max", "--end", "stay", str(played)) as server,
        subprocess.Popen([*balancer, server.url, "0"], stderr=subprocess.DEVNULL, env=lb_environment()) as lb,
    ):
        while not socket.exists():
            assert lb.poll() is None
        with subprocess.Popen(recorder, env=lb_environment()) as recording, Joined(socket) as client:
            while (client.result("status")["readers"] or [{"delivered_total": 0}])[0]["delivered_total"] < count:
                assert recording.poll() is None
            client.result("stop")
        assert (lb.wait(), recording.returncode) == (0, 0)
    (path,) = folder.iterdir()
    return path


def test_record_replay_record_again_is_the_same_byte_by_byte(tmp_path: Path) -> None:
    """Records of any length, with spaces and line feeds between members."""
    source = tmp_path / "tape.jsonl"
    records = [
        b'{"ev":"T", "sym":"S%d","i":%d,"pad":"%s"}' % (number % 7, number, b"x" * (number * 37 % 301))
        for number in range(3000)
    ]
    source.write_bytes(b"".join(message(*records[begin : begin + 13]) + b"\n" for begin in range(0, 3000, 13)))
    first = record_once(source, tmp_path / "first", tmp_path / "lb.sock", 3000)
    second = record_once(first, tmp_path / "second", tmp_path / "lb2.sock", 3000)
    with Recording(second) as recording:
        assert [line for block in recording.blocks() for line in block.lines()] == records
    assert verified(first.parent, second.parent) == (0, "the same 3000 records\n")


def verified(one: Path, other: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "trade_balancer.record", "verify", str(one), str(other)]
    done = subprocess.run(command, env=lb_environment(), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_where_two_recordings_differ_is_told(tmp_path: Path) -> None:
    paths = []
    for name, count, block_bytes, changed in [
        ("a", 30, 100, -1),
        ("b", 30, 900, -1),
        ("c", 30, 1, 17),
        ("d", 29, 1, -1),
    ]:
        (tmp_path / name).mkdir()
        records = [trade(number, symbol="B" if number == changed else "A") for number in range(count)]
        paths.append(recorded(tmp_path / name, [(BEGIN_NS, [record]) for record in records], block_bytes))
    a, b, c, d = paths
    assert verified(a, b) == (0, "the same 30 records\n")
    code, told = verified(a, c.parent)
    assert code == 1
    assert told.startswith("the first 17 records are the same, and then stands\n")
    assert [line.partition(": ")[2] for line in told.splitlines()[1:]] == [repr(trade(17)), repr(trade(17, symbol="B"))]
    assert verified(d, a)[1].splitlines()[1] == f"  {d}: its end"
    d.write_bytes(d.read_bytes()[:-1])
    assert verified(a, d)[0] == 66


# info


def told_by_json(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    assert cli.main(["info", "--json", *map(str, words)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert isinstance(told, dict)
    return told


def test_info_tells_span_events_symbols_gaps_and_peaks_of_a_recording(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quote = b'{"ev":"Q","sym":"B","bp":1,"t":%d}' % BEGIN_MS
    other = b'{"ev":"NOI","T":"C","t":%d}' % BEGIN_MS
    marker = b'{"ev":"lb","dropped":12}'
    batches = [
        (BEGIN_NS, [trade(0)] * 3),
        (BEGIN_NS + 9_000_000, [trade(1), quote]),
        (BEGIN_NS + 10_000_000, [trade(2)] * 4),
        (BEGIN_NS + 30 * 10**9, [trade(3), other, marker, b"{bad}"]),
    ]
    path = recorded(tmp_path, batches)
    told = told_by_json(capsys, path, "--gap", "10")
    assert told == {
        "by": "received", "feeds": ["ws://x"], "first_ns": BEGIN_NS, "last_ns": BEGIN_NS + 30 * 10**9, "records": 12,
        "record_bytes": sum(len(record) for _, records in batches for record in records) - len(marker),
        "dropped": 12, "unusable": 1, "events": {"NOI": 1, "Q": 1, "T": 9}, "symbols": {"A": 9, "B": 1},
        "peak_per_s": {"records": 9, "at_ns": BEGIN_NS}, "peak_per_10_ms": {"records": 5, "at_ns": BEGIN_NS},
        "gaps": [{"last_s": BEGIN_NS // 10**9, "next_s": BEGIN_NS // 10**9 + 30}], "notes": [],
    }  # fmt: skip
    assert cli.main(["info", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "12: the recorder was too slow" in shown
    assert "█" in shown
    path.write_bytes(path.read_bytes()[:-1])
    assert "damaged at byte" in told_by_json(capsys, path)["notes"][0]


NASTY = [
    b"",
    b"",
    b',"x":[{"ev":1},{"ev":2}]',
    b',"x":{"y":[{}]}',
    rb',"x":"},{\"ev\":\"T\"}"',
    b',"x":"}{"',
    b', "x" : []',
]
"""More members, which a guess at where records end would trip over."""


@settings(max_examples=60)
@given(st.lists(st.lists(st.tuples(st.integers(0, 50_000), st.sampled_from(NASTY)), max_size=5), max_size=20))
def test_info_of_any_tape_is_what_a_simple_count_says(
    tmp_path_factory: pytest.TempPathFactory, messages: list[list[tuple[int, bytes]]]
) -> None:
    path = tmp_path_factory.mktemp("tape") / "tape.jsonl"
    records = [
        [trade(time, BEGIN_MS + time, f"S{time % 3}")[:-1] + more + b"}" for time, more in each] for each in messages
    ]
    path.write_bytes(b"".join(message(*each) + b"\n" for each in records))
    decoded = [orjson.loads(record) for each in records for record in each]
    contents = contents_of([path], None)
    assert (contents.by, contents.records, contents.events["T"]) == ("t", len(decoded), len(decoded))
    assert contents.unusable == 0
    assert contents.symbols == Counter(record["sym"] for record in decoded)
    ticks = Counter(record["t"] // 10 for record in decoded)
    assert contents.rates.peak_of_tick()[0] == max(ticks.values(), default=0)
    seconds = sorted({record["t"] // 1000 for record in decoded})
    assert sorted(contents.rates.gaps(3)) == [pair for pair in pairwise(seconds) if pair[1] - pair[0] > 3]


def test_what_is_long_past_is_forgotten_but_for_its_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lb.replay.contents._TICKS_KEPT", 10)
    rates = Rates()
    for tick in range(100):
        rates.add(tick * 10**7, 50 if tick == 3 else 1 + tick % 2)
    assert rates.peak_of_tick() == (50, 3 * 10**7)
    assert len(rates.ticks) <= 20


@pytest.mark.parametrize(
    ("words", "code"), [([], 64), (["none.jsonl"], 66), (["--gap", "x", "a.jsonl"], 64), (["a.csv"], 64)]
)
def test_info_of_what_is_not_there(
    words: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("x")
    assert cli.main(["info", *words]) == code
