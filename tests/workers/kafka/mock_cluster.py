"""librdkafka's own brokers, in this process, on real sockets: they do at once what no real ones can be told to.

rdkafka_mock.h, called through ctypes: confluent-kafka has no face for it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from trade_balancer.kafka.library import library

_PRODUCER = 0
PRODUCE = 0
"""The number of that request in Kafka's protocol."""


class MockCluster:
    """So many brokers; a topic is made when it is asked for, with 4 partitions."""

    def __init__(self, brokers: int = 1) -> None:
        self._lib = ctypes.CDLL(library())
        for name in (
            "rd_kafka_new",
            "rd_kafka_conf_new",
            "rd_kafka_mock_cluster_new",
            "rd_kafka_mock_cluster_bootstraps",
        ):
            getattr(self._lib, name).restype = ctypes.c_void_p
        text = ctypes.create_string_buffer(512)
        conf = ctypes.c_void_p(self._lib.rd_kafka_conf_new())
        self._lib.rd_kafka_conf_set(conf, b"log_level", b"2", text, 512)
        self._client = ctypes.c_void_p(self._lib.rd_kafka_new(_PRODUCER, conf, text, 512))
        assert self._client, text.value
        self._cluster = ctypes.c_void_p(self._lib.rd_kafka_mock_cluster_new(self._client, brokers))
        self._lib.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, ctypes.c_int32(50))
        at = ctypes.cast(self._lib.rd_kafka_mock_cluster_bootstraps(self._cluster), ctypes.c_char_p)
        assert at.value is not None
        self.brokers = at.value.decode()
        # Else the first members of a group wait 3 s for others.
        self._lib.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)

    def _call(self, name: str, *arguments: Any) -> None:
        assert getattr(self._lib, name)(self._cluster, *arguments) == 0, name

    def make_topic(self, topic: str, partitions: int) -> None:
        self._call("rd_kafka_mock_topic_create", topic.encode(), partitions, 1)

    def refuse_topic(self, topic: str, error: int) -> None:
        """Whoever asks for it gets this error."""
        self._lib.rd_kafka_mock_topic_set_error(self._cluster, topic.encode(), error)

    def push_errors(self, request: int, errors: Sequence[int]) -> None:
        """The next requests of this kind get these answers."""
        codes = (ctypes.c_int * len(errors))(*errors)
        self._lib.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(request), ctypes.c_size_t(len(errors)), codes
        )

    def set_round_trip_ms(self, broker: int, ms: int) -> None:
        self._call("rd_kafka_mock_broker_set_rtt", broker, ms)

    def set_down(self, broker: int) -> None:
        self._call("rd_kafka_mock_broker_set_down", broker)

    def set_up(self, broker: int) -> None:
        self._call("rd_kafka_mock_broker_set_up", broker)

    def close(self) -> None:
        self._lib.rd_kafka_mock_cluster_destroy(self._cluster)
        self._lib.rd_kafka_destroy(self._client)


@contextmanager
def mock_cluster(brokers: int = 1) -> Iterator[MockCluster]:
    cluster = MockCluster(brokers)
    try:
        yield cluster
    finally:
        cluster.close()
