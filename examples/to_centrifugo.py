#!/usr/bin/env python3
"""Gives Centrifugo the newest record of each symbol ten times a second, by a topic of Kafka's that it reads
(docs/past-one-machine.md): by itself it would send all of them to everybody, and cut off who is slow.

    BROKERS=kafka1:9092 ./to_centrifugo.py --kafka kafka1:9092 --topic trades --group to-centrifugo

Several of one group share the topic's partitions, and so the symbols.
"""

import os
import threading

import orjson
from confluent_kafka import Producer

from trade_balancer import Record, run

TICK_S = 0.1
MOST_WAITING = 10_000
TOPIC = os.environ.get("TOPIC", "centrifugo")

producer = Producer({"bootstrap.servers": os.environ.get("BROKERS", "localhost:9092"), "linger.ms": 5})
newest: dict[str, Record] = {}
over = threading.Event()


def on_record(record: Record, fd: int) -> None:
    newest[record["sym"]] = record


def tick() -> None:
    producer.poll(0)
    if len(producer) > MOST_WAITING:  # the brokers are away: what is here stays the newest
        return
    for symbol in list(newest):
        told = {"centrifugo-channels": f"trades:{symbol}"}
        producer.produce(TOPIC, orjson.dumps(newest.pop(symbol)), symbol, headers=told)


def tick_until_the_end() -> None:
    while not over.wait(TICK_S):
        tick()


ticking = threading.Thread(target=tick_until_the_end)
ticking.start()
try:
    run(on_record)
finally:
    over.set()
    ticking.join()
    tick()
    producer.flush()
