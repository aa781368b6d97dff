"""The part `attach`: what readers of a running lb cost the workers, and how soon they have their first record.

Law: each ratio is taken between two runs that stand beside each other, one with the readers and one without. All of
the feed must reach the workers, readers or not; what readers got and lost must be exact, or there is no figure.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness import feed, scraping, tally
from harness.errors import TrialError
from harness.faults.play import Play, playing
from harness.programs import ROOT
from harness.rows import RowResults, Terms
from harness.setting import Setting

TEN_SYMBOLS = "throughput beside a reader of 10 symbols, to none"
EVERYTHING = "throughput beside a reader of everything that keeps up, to none"
STUCK = "throughput beside a reader of everything that never reads, to none"
STUCK_P99 = "p99 of the workers at 100k records/s beside a reader that never reads, to none"
RECORDED = "throughput beside lb-record of everything, to none"
RECORDED_SHARE = "share of the records that lb-record has, beside four pipes at full speed"
MANY = "throughput beside 64 readers of 100 symbols each, to none"
SCRAPED = "throughput with --metrics, scraped 4 times a second and its page open, to without"
FIRST_RECORD = "attach to first record at 10k records/s"

_PIPES = 4
_READERS = 64
_RATE = 10_000
_STEADY_RATE = 100_000
_FEED_S = 120.0
_POLL_S = 0.002

Topics = Sequence[str]


def measure(terms: Terms, say: Callable[[str], None]) -> RowResults:
    """The rows above, by name."""
    symbols = _symbols(terms)
    step = (len(symbols) - 100) // _READERS
    shares = [[f"T.{symbol}" for symbol in symbols[at * step : at * step + 100]] for at in range(_READERS)]
    rows: dict[str, Callable[[], float]] = {
        TEN_SYMBOLS: lambda: _ratio(terms, [[f"T.{symbol}" for symbol in symbols[:10]]]),
        EVERYTHING: lambda: _ratio(terms, [["*"]]),
        STUCK: lambda: _ratio(terms, [["*"]], are_stuck=True),
        STUCK_P99: lambda: _p99_ns(terms, [["*"]]) / _p99_ns(terms, []),
        MANY: lambda: _ratio(terms, shares),
        RECORDED: lambda: _recorded(terms)[0] / _records_per_s(terms, [], are_stuck=False),
        RECORDED_SHARE: lambda: _recorded(terms)[1],
        SCRAPED: lambda: _served_per_s(terms) / _records_per_s(terms, [], are_stuck=False),
        FIRST_RECORD: lambda: _first_record_ms(terms),
    }
    results = RowResults()
    for name, measure_once in rows.items():
        say(f"measuring {name}")
        try:
            results.values[name] = [measure_once() for _ in range(terms.rounds)]
        except TrialError as error:
            results.failures.append(f"{name}: {error}")
            say(f"FAILED  {results.failures[-1]}")
    return results


def _symbols(terms: Terms) -> list[str]:
    """Of the feed, in the order in which they come."""
    records = feed.synthetic(terms.build, "160", 20).records
    return list(dict.fromkeys(record.split(b'"', 8)[7].decode() for record in records))


def _ratio(terms: Terms, readers: Sequence[Topics], *, are_stuck: bool = False) -> float:
    return _records_per_s(terms, readers, are_stuck=are_stuck) / _records_per_s(terms, [], are_stuck=False)


def _records_per_s(terms: Terms, readers: Sequence[Topics], *, are_stuck: bool) -> float:
    setting = Setting(feed.synthetic(terms.build, "160", 20), _PIPES, seconds=terms.seconds)
    with _playing(terms, setting, readers, are_stuck=are_stuck) as play:
        return _rate_of(play, setting)[0]


def _rate_of(play: Play, setting: Setting) -> tuple[float, int]:
    """The workers' records per second, and how many records were sent."""
    play.feeder.go()
    sent = play.feeder.event("sent", _FEED_S, lambda: None)["records"]
    workers = _await_bytes(play, setting.feed.piped_bytes(sent))
    return sent / (max(each.last_ns for each in workers) - min(each.first_ns for each in workers)) * 1e9, sent


def _recorded(terms: Terms) -> tuple[float, float]:
    """The workers' records per second beside lb-record, and its share of the records: the rest it has lost, counted."""
    setting = Setting(feed.synthetic(terms.build, "160", 20), _PIPES, seconds=terms.seconds)
    with _playing(terms, setting, [], are_stuck=False) as play, tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "trade_balancer.record", str(_socket(play)), "--directory", folder]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as recorder:
            try:
                _await_reader(_socket(play))
                rate, sent = _rate_of(play, setting)
                _await_reader(_socket(play), until_it_has_all=True)
                recorder.terminate()
                _, words = recorder.communicate(timeout=_FEED_S)
            finally:
                recorder.kill()
    told = re.match(r".*: (\d+) records in \d+ files of \d+ bytes(?:, (\d+) dropped: too slow)?\n$", words)
    if recorder.returncode or not told:
        raise TrialError(f"lb-record ended with {recorder.returncode}: {words[-500:]}")
    if int(told[1]) + int(told[2] or 0) != sent:
        raise TrialError(f"lb-record's counts are not exact: {sent} records were sent, and it says: {words}")
    return rate, int(told[1]) / sent


def _await_reader(socket: Path, *, until_it_has_all: bool = False) -> None:
    """Until there is a reader, or until nothing waits for it."""
    _attach()
    from trade_balancer.control import Control

    with Control(socket) as control:
        while not (readers := control.ask("status")["readers"]) or (until_it_has_all and readers[0]["waiting_records"]):
            time.sleep(_POLL_S)


def _served_per_s(terms: Terms) -> float:
    setting = Setting(feed.synthetic(terms.build, "160", 20), _PIPES, seconds=terms.seconds)
    with _playing(terms, setting, [], are_stuck=False, more=scraping.OPTIONS) as play, scraping.scraped(play):
        play.feeder.go()
        sent = play.feeder.event("sent", _FEED_S, lambda: None)["records"]
        workers = _await_bytes(play, setting.feed.piped_bytes(sent))
    return sent / (max(each.last_ns for each in workers) - min(each.first_ns for each in workers)) * 1e9


def _p99_ns(terms: Terms, readers: Sequence[Topics]) -> float:
    setting = Setting(
        feed.synthetic(terms.build, "160", 1), _PIPES, "latency", seconds=terms.seconds, rate=_STEADY_RATE
    )
    with _playing(terms, setting, readers, are_stuck=True) as play:
        play.feeder.go()
        sent = play.feeder.event("sent", _FEED_S, lambda: None)["records"]
        workers = _await_bytes(play, setting.feed.piped_bytes(sent))
    return tally.merged(workers).percentile_ns(0.99)


def _first_record_ms(terms: Terms) -> float:
    """From a program's wish to join to the first read that brings something."""
    setting = Setting(feed.synthetic(terms.build, "160", 1), _PIPES, seconds=max(terms.seconds, 0.5), rate=_RATE)
    with _playing(terms, setting, [], are_stuck=False) as play:
        play.feeder.go()
        while not any(play.tally(number).bytes for number in range(_PIPES)):
            time.sleep(_POLL_S)
        began_s = time.monotonic()
        with _attach()(_socket(play), ["*"]) as reader:
            if not os.read(reader.fd, 1):
                raise TrialError("the reader's pipe ended at once")
            return (time.monotonic() - began_s) * 1e3


@contextlib.contextmanager
def _playing(
    terms: Terms, setting: Setting, readers: Sequence[Topics], *, are_stuck: bool, more: Sequence[str] = ()
) -> Iterator[Play]:
    """lb with its readers, each a C program that counts bytes, or nobody."""
    socket = terms.build / "control.sock"
    with playing(terms, setting, "--control", str(socket), *more) as play, contextlib.ExitStack() as stack:
        attached = [stack.enter_context(_attach()(socket, topics)) for topics in readers]
        for number, reader in enumerate(attached if not are_stuck else []):
            counts = terms.build / f"reader-{number}"
            command = [str(terms.build / "worker"), "count", str(counts), str(reader.fd)]
            program = subprocess.Popen(command, pass_fds=[reader.fd], stdin=subprocess.DEVNULL)
            stack.callback(_end, program, counts)
        yield play
        for reader in attached:
            _check(reader.leave())
            reader.close()
        play.stop()


def _check(counts: dict[str, Any]) -> None:
    parts = sum(counts[name] for name in ("delivered_total", "waiting_records", "dropped_total"))
    if counts["offered_total"] != parts:
        raise TrialError(f"a reader's counts are not exact: {counts}")


def _socket(play: Play) -> Path:
    words = play.lb.args
    assert isinstance(words, list)
    return Path(words[words.index("--control") + 1])


def _attach() -> Callable[..., Any]:
    """Of the checkout, whatever is installed."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from trade_balancer import attach

    return attach


def _end(program: "subprocess.Popen[bytes]", counts: Path) -> None:
    program.kill()
    program.wait()
    counts.unlink(missing_ok=True)


def _await_bytes(play: Play, expected: int) -> list[tally.Tally]:
    """What the workers have, once that is so many bytes."""
    deadline_s = time.monotonic() + _FEED_S
    while True:
        workers = [play.tally(number) for number in range(_PIPES)]
        if sum(each.bytes for each in workers) >= expected:
            return workers
        if time.monotonic() > deadline_s:
            raise TrialError(f"workers have {sum(each.bytes for each in workers)} bytes, expected {expected}")
        time.sleep(_POLL_S)
