"""One real broker for all rows, and a topic of its own for each run; what is sent and read."""

import atexit
import secrets
import sys
from functools import cache
from typing import Any

from confluent_kafka.admin import AdminClient, NewTopic

from harness import feed
from harness.programs import ROOT
from harness.rows import Absent, Terms

PARTITIONS = 4
_PASS = 100_000


@cache
def brokers() -> str:
    """Raises Absent: none can be had."""
    tests = ROOT / "tests" / "workers"
    sys.path += [str(tests), str(tests / "kafka")]
    from database_server import UnavailableError
    from kafka_server import Server

    try:
        server = Server()
    except UnavailableError as fault:
        raise Absent(str(fault)) from fault
    server.__enter__()
    atexit.register(server.__exit__)
    return server.brokers


def new_topic() -> str:
    admin = AdminClient({"bootstrap.servers": brokers()})
    topic = f"bench-{secrets.token_hex(6)}"
    answer: Any = admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic]
    answer.result()
    return topic


def records(terms: Terms) -> list[bytes]:
    """Trades of 160 bytes of 6,000 symbols, those of one pass."""
    market = feed.synthetic(terms.build, "160", 20).records
    wanted = 5_000 if terms.quick else _PASS
    return [market[number % len(market)] for number in range(wanted)]
