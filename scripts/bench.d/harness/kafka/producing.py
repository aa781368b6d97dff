"""From a pipe to a broker that acknowledges: lb-kafka, and a loop around produce() with a callback.

Each run is a process that reads frames from a pipe that is never empty, and ends when all is acknowledged.
"""

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from harness.errors import TrialError
from harness.kafka import row
from harness.kafka.broker import brokers, new_topic, records
from harness.programs import ROOT
from harness.rows import Terms

PACKED = "lb-kafka --pack-ms 10, acknowledged records a second"
SINGLE = "lb-kafka, one record a message, acknowledged records a second"
TO_LOOP = "... CPU, a produce() loop's with a callback to its"
PACKED_CPU = "lb-kafka --pack-ms 10, CPU per record"

_PASSES = 10

_LOOP = """
import sys
from confluent_kafka import Producer
from trade_balancer import batches
brokers, topic, fd = sys.argv[1:]
settings = {"enable.idempotence": True, "linger.ms": 5, "compression.type": "lz4"}
producer = Producer({"bootstrap.servers": brokers, "queue.buffering.max.messages": 200000, **settings})
acknowledged = 0
def told(error, message):
    global acknowledged
    acknowledged += error is None
for _, records in batches([int(fd)]):
    for record in records:
        symbol = record[17:record.index(b'"', 17)]
        while True:
            try:
                producer.produce(topic, record, symbol, on_delivery=told)
                break
            except BufferError:
                producer.poll(0.1)
    producer.poll(0)
left = producer.flush(60)
sys.exit(left or None)
"""


@row(PACKED)
def packed(terms: Terms) -> list[float]:
    return [_lb_kafka(terms, "--pack-ms", "10")[0] for _ in range(terms.rounds)]


@row(PACKED_CPU)
def packed_cpu(terms: Terms) -> list[float]:
    return [_lb_kafka(terms, "--pack-ms", "10")[1] for _ in range(terms.rounds)]


@row(SINGLE)
def single(terms: Terms) -> list[float]:
    return [_lb_kafka(terms)[0] for _ in range(terms.rounds)]


@row(TO_LOOP)
def to_loop(terms: Terms) -> list[float]:
    return [_loop(terms)[1] / _lb_kafka(terms)[1] for _ in range(terms.rounds)]


def fill(terms: Terms, topic: str, *words: str) -> int:
    """Sends as many records as a run to the topic; returns how many."""
    _run(terms, ["-m", "trade_balancer.kafka.program", "--brokers", brokers(), "--topic", topic, *words])
    return len(records(terms)) * _passes(terms)


def _lb_kafka(terms: Terms, *words: str) -> tuple[float, float]:
    command = ["-m", "trade_balancer.kafka.program", "--brokers", brokers(), "--topic", new_topic()]
    return _run(terms, [*command, *words])


def _loop(terms: Terms) -> tuple[float, float]:
    return _run(terms, ["-c", _LOOP, brokers(), new_topic()])


def _passes(terms: Terms) -> int:
    return 1 if terms.quick else _PASSES


def _run(terms: Terms, words: Sequence[str]) -> tuple[float, float]:
    """Million records per second, from the first byte to the program's end, and its CPU time, us per record."""
    wanted = records(terms)
    frames = b"".join(len(record).to_bytes(4, "little") + record for record in wanted)
    passes = _passes(terms)
    read_end, write_end = os.pipe()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    program = subprocess.Popen(
        [sys.executable, *words, str(read_end)], pass_fds=[read_end], env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    os.close(read_end)
    writer = threading.Thread(target=_write, args=(write_end, frames, passes))
    begin_s = time.monotonic()
    writer.start()
    code = program.wait()
    taken_s = time.monotonic() - begin_s
    writer.join()
    if code:
        raise TrialError(f"{words[1]} ended with exit code {code}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return passes * len(wanted) / taken_s / 1e6, cpu_s * 1e6 / (passes * len(wanted))


def _write(fd: int, frames: bytes, passes: int) -> None:
    try:
        for _ in range(passes):
            left = memoryview(frames)
            while left:
                left = left[os.write(fd, left) :]
    except BrokenPipeError:
        pass  # its end says why
    finally:
        os.close(fd)
