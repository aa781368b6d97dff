"""What a client may say, and what it is answered: the vendor's dialogue, and a few words more.

Law: no I/O, no clock. Whatever a client says, there is an answer or an end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import orjson

from trade_balancer.emit.forms import topics_of

POLICY_VIOLATION = 1008
_WORDS_BYTES = 200
"""So much of what was not understood is said back."""


@dataclass(frozen=True)
class Answer:
    text: bytes | None = None
    topics: frozenset[str] | None = None
    """What it has now; None: as before."""
    close: int | None = None
    """The end of the connection, by this code."""


Pong = Callable[[object, float | None], bytes]
"""The answer to a ping, from its id and what the client has measured until the screen, ms."""


class Dialogue:
    """`accepts`: whether this is a token that lets in; None: nobody is asked for one."""

    def __init__(self, accepts: Callable[[str], bool] | None, is_known: bool, most_topics: int, pong: Pong) -> None:
        self._accepts = accepts
        self.is_known = is_known or accepts is None
        self._most_topics = most_topics
        self._pong = pong
        self.topics: frozenset[str] = frozenset()

    def hear(self, text: bytes) -> Answer:
        try:
            said = orjson.loads(text)
        except orjson.JSONDecodeError:
            return _error("Invalid JSON")
        if not isinstance(said, dict):
            return _error("Invalid JSON")
        action, params = said.get("action"), said.get("params", "")
        if action == "auth":
            return self._authenticate(params)
        if not self.is_known:
            return Answer(status("auth_required", "authentication required"))
        if action == "ping":
            return Answer(self._pong(said.get("id"), _milliseconds(said.get("screen_ms"))))
        if action not in ("subscribe", "unsubscribe"):
            return _error("there are the actions auth, subscribe, unsubscribe and ping")
        words = params.split(",") if isinstance(params, str) else params
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            return _error("params: topics, such as T.AAPL,Q.*")
        topics, wrong = topics_of(word.strip() for word in words)
        answer = self._subscribe(topics) if action == "subscribe" else self._unsubscribe(topics)
        if wrong:
            told = status("error", f"no topics: {','.join(wrong)[:_WORDS_BYTES]}")
            return Answer(_joined(answer.text, told), answer.topics)
        return answer

    def _authenticate(self, token: object) -> Answer:
        if self._accepts is not None and not (isinstance(token, str) and self._accepts(token)):
            return Answer(status("auth_failed", "authentication failed"), close=POLICY_VIOLATION)
        self.is_known = True
        return Answer(status("auth_success", "authenticated"))

    def _subscribe(self, topics: list[str]) -> Answer:
        new = [topic for topic in topics if topic not in self.topics]
        if len(self.topics) + len(new) > self._most_topics:
            return _error(f"no more than {self._most_topics} topics")
        self.topics = self.topics.union(new)
        return Answer(_statuses("subscribed to: ", topics), self.topics if new else None)

    def _unsubscribe(self, topics: list[str]) -> Answer:
        left = self.topics.difference(topics)
        is_other, self.topics = left != self.topics, left
        return Answer(_statuses("unsubscribed to: ", topics), left if is_other else None)


def status(name: str, message: str) -> bytes:
    return orjson.dumps([{"ev": "status", "status": name, "message": message}])


def _error(message: str) -> Answer:
    return Answer(status("error", message))


def _statuses(words: str, topics: Iterable[str]) -> bytes | None:
    told = [{"ev": "status", "status": "success", "message": words + topic} for topic in topics]
    return orjson.dumps(told) if told else None


def _joined(one: bytes | None, other: bytes) -> bytes:
    return other if one is None else one[:-1] + b"," + other[1:]


def _milliseconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) and 0 <= value < 1e6 else None
