"""The file of librdkafka itself, for those who call it from C (csrc/rdkafka.h).

Law: it is the one that confluent-kafka has brought; no other is looked for.
"""

from __future__ import annotations

from pathlib import Path

from trade_balancer.errors import MissingExtraError, UnavailableError

try:
    import confluent_kafka
except ImportError:
    raise MissingExtraError("what reads and writes Kafka", "confluent-kafka", "kafka") from None

NAME = "/librdkafka"


def library() -> str:
    """The file of the librdkafka that confluent-kafka has loaded into this process: its wheel's, or the system's.

    Raises:
        UnavailableError: there is none, because it is a part of confluent-kafka's own file.
    """
    for line in Path("/proc/self/maps").read_text().splitlines():
        name = line.split(maxsplit=5)[-1]
        if NAME in name and ".so" in name:
            return name
    raise UnavailableError(
        f"confluent-kafka {confluent_kafka.version()} has no librdkafka of its own that can be opened"
    )
