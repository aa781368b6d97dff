"""From a pipe to a broker that acknowledges: lb-kafka, and a loop around produce() with a callback.

Each run is a process that reads frames from a pipe that is never empty, and ends when all is acknowledged. It is
measured from its first read to its end: what it begins with, half a second and 0.15 s of CPU time, is no rate.
"""

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from harness.errors import TrialError
from harness.kafka import row
from harness.kafka.broker import brokers, new_topic, records
from harness.programs import ROOT
from harness.rows import Terms

PACKED = "lb-kafka --pack-ms 10, acknowledged records a second"
SINGLE = "lb-kafka, one record a message, acknowledged records a second"
TO_LOOP = "... CPU, a produce() loop's with a callback to its"
TO_EQUAL_LOOP = "... the same, of a loop that sends the same two headers"
PACKED_CPU = "lb-kafka --pack-ms 10, CPU per record"
SINGLE_CPU = "lb-kafka, one record a message, CPU per record"

_PASSES = 20

_LOOP = """
import sys
import time
from confluent_kafka import Producer
from trade_balancer import batches
brokers, topic, has_headers, fd = sys.argv[1:]
settings = {"enable.idempotence": True, "linger.ms": 5, "compression.type": "lz4"}
producer = Producer({"bootstrap.servers": brokers, "queue.buffering.max.messages": 200000, **settings})
acknowledged = 0
def told(error, message):
    global acknowledged
    acknowledged += error is None
number = 0
headers = None
for _, records in batches([int(fd)]):
    now_ns = b"%d" % time.time_ns()
    for record in records:
        number += 1
        if has_headers:
            headers = [("producerTime", now_ns), ("lb", b"0123456789abcdef/3/%d" % number)]
        symbol = record[17:record.index(b'"', 17)]
        while True:
            try:
                producer.produce(topic, record, symbol, on_delivery=told, headers=headers)
                break
            except BufferError:
                producer.poll(0.1)
    producer.poll(0)
left = producer.flush(60)
sys.exit(left or None)
"""


@row(PACKED)
def packed(terms: Terms) -> list[float]:
    return [run.rate for run in _runs(terms, "--pack-ms", "10")]


@row(PACKED_CPU)
def packed_cpu(terms: Terms) -> list[float]:
    return [run.cpu_us for run in _runs(terms, "--pack-ms", "10")]


@row(SINGLE)
def single(terms: Terms) -> list[float]:
    return [run.rate for run in _runs(terms)]


@row(SINGLE_CPU)
def single_cpu(terms: Terms) -> list[float]:
    return [run.cpu_us for run in _runs(terms)]


@row(TO_LOOP)
def to_loop(terms: Terms) -> list[float]:
    return [_loop(terms).cpu_us / run.cpu_us for run in _runs(terms)]


@row(TO_EQUAL_LOOP)
def to_equal_loop(terms: Terms) -> list[float]:
    return [_loop(terms, "headers").cpu_us / run.cpu_us for run in _runs(terms)]


class Run(NamedTuple):
    """Million records per second, and CPU time per record (us)."""

    rate: float
    cpu_us: float


@cache
def _runs(terms: Terms, *words: str) -> list[Run]:
    """One for each round; rows share them."""
    return [_lb_kafka(terms, *words) for _ in range(terms.rounds)]


def fill(terms: Terms, topic: str, *words: str) -> int:
    """Sends as many records as a run to the topic; returns how many."""
    _run(terms, ["-m", "trade_balancer.kafka.program", "--brokers", brokers(), "--topic", topic, *words])
    return len(records(terms)) * _passes(terms)


def _lb_kafka(terms: Terms, *words: str) -> Run:
    command = ["-m", "trade_balancer.kafka.program", "--brokers", brokers(), "--topic", new_topic()]
    return _run(terms, [*command, *words])


def _loop(terms: Terms, has_headers: str = "") -> Run:
    return _run(terms, ["-c", _LOOP, brokers(), new_topic(), has_headers])


def _passes(terms: Terms) -> int:
    return 1 if terms.quick else _PASSES


def _run(terms: Terms, words: Sequence[str]) -> Run:
    wanted = records(terms)
    frames = b"".join(len(record).to_bytes(4, "little") + record for record in wanted)
    passes = _passes(terms)
    read_end, write_end = os.pipe()
    program = subprocess.Popen(
        [sys.executable, *words, str(read_end)], pass_fds=[read_end], env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    os.close(read_end)
    beginning: list[tuple[float, float]] = []
    writer = threading.Thread(target=_write, args=(write_end, frames, passes, program.pid, beginning))
    writer.start()
    _, status, usage = os.wait4(program.pid, 0)
    end_s = time.monotonic()
    program.returncode = os.waitstatus_to_exitcode(status)
    writer.join()
    if program.returncode or not beginning:
        raise TrialError(f"{words[1]} ended with exit code {program.returncode}")
    begin_s, cpu_before_s = beginning[0]
    cpu_s = usage.ru_utime + usage.ru_stime - cpu_before_s
    return Run(passes * len(wanted) / (end_s - begin_s) / 1e6, cpu_s * 1e6 / (passes * len(wanted)))


def _write(fd: int, frames: bytes, passes: int, reader: int, beginning: list[tuple[float, float]]) -> None:
    """Notes when the reader has read for the first time, and its CPU time (s) by then."""
    try:
        filled_bytes = os.write(fd, frames[: fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)])
        for number in range(passes):
            left = memoryview(frames)
            if number == 0:
                left = left[filled_bytes:]
                left = left[os.write(fd, left[:1]) :]  # which waits until there is room
                beginning.append((time.monotonic(), _cpu_s(reader)))
            while left:
                left = left[os.write(fd, left) :]
    except BrokenPipeError:
        pass  # its end says why
    finally:
        os.close(fd)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
