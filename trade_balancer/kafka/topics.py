"""Class Topics: topics as the brokers know them.

Law: nothing that is there is changed. No client outlives this: what is forked later has no part of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trade_balancer.errors import MissingExtraError, UnavailableError, UsageError

try:
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic  # type: ignore[attr-defined]
except ImportError:
    raise MissingExtraError("what reads and writes Kafka", "confluent-kafka", "kafka") from None

_ANSWER_S = 10
_DEFAULT_MESSAGE_BYTES = 1_048_588  # Kafka's own


class Topics:
    """Asks the brokers that the settings name.

    Raises:
        UsageError: a setting is none.
    """

    def __init__(self, kafka: Mapping[str, str]) -> None:
        self._reason = ""
        try:
            settings: dict[str, Any] = {"log_level": "2", **kafka, "error_cb": self._note_error}
            self._admin = AdminClient(settings)
        except KafkaException as fault:
            raise UsageError(f"-X: {_text(fault)}") from fault

    def check(self, topics: Sequence[str]) -> None:
        """Raises UnavailableError: no broker answers, or a topic is not there."""
        for topic in topics:
            self._found(topic)

    def largest_message_bytes(self, topics: Sequence[str]) -> int:
        """What a message may have at most in each of the topics."""
        limits = [_DEFAULT_MESSAGE_BYTES]
        for topic in topics:
            limits.append(int(self._settings(topic).get("max.message.bytes") or _DEFAULT_MESSAGE_BYTES))
        return min(limits)

    def make(self, topic: str, partitions: int, replicas: int, config: Mapping[str, str]) -> bool:
        """Returns False where it is there already.

        Raises:
            UnavailableError: no broker answers, or they refuse.
        """
        new = NewTopic(topic, partitions, replicas, config=dict(config))
        try:
            self._admin.create_topics([new], request_timeout=_ANSWER_S)[topic].result()
        except KafkaException as fault:
            if fault.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return False
            raise UnavailableError(f"topic {topic}: {_text(fault)}") from fault
        return True

    def differences(self, topic: str, partitions: int, config: Mapping[str, str]) -> list[str]:
        """How it is, where that is not so.

        Raises:
            UnavailableError: no broker answers, or it is not there.
        """
        found = len(self._found(topic).partitions)
        settings = self._settings(topic)
        differences = [f"{found} partitions"] if found != partitions else []
        differences += [f"{name}={settings.get(name)}" for name in config if settings.get(name) != config[name]]
        return differences

    def _found(self, topic: str) -> Any:
        try:
            found = self._admin.list_topics(topic, timeout=_ANSWER_S).topics[topic]
        except KafkaException as fault:
            self._admin.poll(0)  # librdkafka tells the reason only so: a password, a certificate
            raise UnavailableError(f"no answer from the brokers: {self._reason or _text(fault)}") from fault
        if found.error is not None:
            hint = "; `lb-kafka setup` makes it" if found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART else ""
            raise UnavailableError(f"topic {topic}: {found.error.str()}{hint}")
        return found

    def _note_error(self, error: Any) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._reason = error.str()

    def _settings(self, topic: str) -> dict[str, str | None]:
        """Nothing where we are not allowed to read them: who may write a topic need not be."""
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        try:
            answer = self._admin.describe_configs([resource], request_timeout=_ANSWER_S)[resource].result()
        except KafkaException:
            return {}
        return {name: entry.value for name, entry in answer.items()}


def _text(fault: KafkaException) -> str:
    return str(fault.args[0].str())
