"""`lb-kafka`, from its command line to its exit code."""

from __future__ import annotations

import sys

from trade_balancer.kafka.setup import set_up
from trade_balancer.kafka.worker import Kafka
from trade_balancer.ready_made import serve


def main() -> int:
    """`lb-kafka [--brokers BROKERS] [--topic TOPIC]... [--pack-ms MS] ... FD...`, or `lb-kafka setup ...`."""
    return set_up(sys.argv[2:]) if sys.argv[1:2] == ["setup"] else serve(Kafka)


if __name__ == "__main__":
    sys.exit(main())
